//! The example for embedders does what it says, and the façade behind it refuses what it must.

#[expect(dead_code, reason = "its `main` is for whoever reads it")]
#[path = "../../examples/embedded.rs"]
mod example;

use serde_json::json;
use taskflow::{Answer, CancellationToken, Context, Handler, TaskFlow, async_trait};
use tempfile::TempDir;

use crate::server::Server;

fn database(folder: &TempDir) -> String {
    format!("sqlite:///{}", folder.path().join("x.db").display())
}

#[tokio::test]
async fn the_example_runs_its_task_and_answers_the_result() {
    let folder = TempDir::new().unwrap();
    let result = example::greet(&database(&folder), "Ada").await.unwrap();
    assert_eq!(result, r#""Hello Ada""#);
}

struct Reverse;

#[async_trait]
impl Handler for Reverse {
    async fn run(&self, _: Context) -> Answer {
        Answer::Completed(None)
    }
}

#[tokio::test]
async fn a_program_with_taskflow_inside_works_on_the_file_of_a_server() {
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let database = format!("sqlite:///{}", server.folder().join("taskflow.db").display());
    let flow = TaskFlow::open(&database).await.unwrap().with("reverse", Reverse).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { flow.run(stop).await }
    });
    let id = server.create(json!({"title": "x", "kind": "reverse"})).await;
    let other = server.create(json!({"title": "x", "kind": "other"})).await;
    server.until(id, "completed").await;
    assert_eq!(server.task(other).await["status"], "pending", "a kind without a handler waits");
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn names_and_urls_that_cannot_be_are_refused_in_words() {
    let refused = async |url: &str| match TaskFlow::open(url).await {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => format!("{error:#}"),
    };
    assert!(refused("x.db").await.contains("DATABASE_URL"));
    assert!(refused("sqlite:////no-such-folder/x.db").await.contains("/no-such-folder/x.db"));
    let folder = TempDir::new().unwrap();
    let flow = TaskFlow::open(&database(&folder)).await.unwrap();
    assert!(flow.task("x", "no kind", "{}").is_err());
    assert!(flow.task("x", "kind", "{").is_err());
    let refused = flow.with("manual", Reverse).err().unwrap().to_string();
    assert!(refused.contains("manual"), "{refused}");
}
