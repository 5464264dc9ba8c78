//! A whole program with TaskFlow inside: it registers a handler, creates a task, runs it and prints
//! the result. `cargo run --example embedded`. It serves no HTTP.

use std::time::Duration;

use taskflow::core::{Json, Task, TaskId};
use taskflow::{Answer, CancellationToken, Context, Handler, TaskFlow, async_trait};

/// Greets whoever the payload names.
struct Greet;

#[async_trait]
impl Handler for Greet {
    async fn run(&self, cx: Context) -> Answer {
        let payload = cx.job().payload.as_ref().map_or("null", Json::as_str);
        let Ok(name) = serde_json::from_str::<String>(payload) else {
            return Answer::give_up("the payload must be a name");
        };
        let greeting = serde_json::Value::from(format!("Hello {name}")).to_string();
        match Json::parse(&greeting) {
            Ok(result) => Answer::Completed(Some(result)),
            Err(rule) => Answer::give_up(rule.to_string()),
        }
    }
}

/// Everything but the folder, so that a test can run it too.
pub(crate) async fn greet(database: &str, name: &str) -> anyhow::Result<String> {
    let flow = TaskFlow::open(database).await?.with("greet", Greet)?;
    let task = flow.task("Greet somebody", "greet", &serde_json::Value::from(name).to_string())?;
    let id = flow.create(task).await?.id;

    // A program that serves would let `run` go on for ever and not look.
    let stop = CancellationToken::new();
    let watching = async {
        let ended = end_of(&flow, id).await;
        stop.cancel();
        ended
    };
    let (ran, task) = tokio::join!(flow.run(stop.clone()), watching);
    ran?;
    let state = task?.state;
    match state.result {
        Some(result) => Ok(result.as_str().to_owned()),
        None => anyhow::bail!("the task failed: {}", state.error_message.unwrap_or_default()),
    }
}

async fn end_of(flow: &TaskFlow, id: TaskId) -> anyhow::Result<Task> {
    loop {
        let task = flow.get(id).await?;
        if task.state.status.is_ended() {
            return Ok(task);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "what the example is for")]
async fn main() -> anyhow::Result<()> {
    println!("the result: {}", greet("sqlite:///./embedded.db", "Ada").await?);
    Ok(())
}
