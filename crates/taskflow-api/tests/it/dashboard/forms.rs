//! Forms: what is typed arrives as it was meant, and what is wrong is told beside its field.

use serde_json::{Value, json};

use super::{page, send, sent};
use crate::app::TestApp;

#[tokio::test]
async fn a_form_creates_a_task_of_any_kind() {
    let app = TestApp::new();
    let payload = "{\r\n  \"n\": 123456789012345678901234567890\r\n}";
    let place = sent(
        &app,
        "/tasks/new",
        &[
            ("title", "  Label "),
            ("kind", "shop.label"),
            ("queue", "shipping"),
            ("priority", "high"),
            ("payload", payload),
            ("delay_seconds", "60"),
            ("max_attempts", "3"),
            ("tags", "vip, express"),
            ("description", "line 1\r\nline 2"),
            ("metadata", "{\"team\": 7}"),
            ("run_at", ""),
            ("depends_on", ""),
        ],
    )
    .await;
    assert_eq!(place, "/tasks/1");
    let task = app.task(&json!(1)).await;
    let fields = [
        "title",
        "kind",
        "queue",
        "priority",
        "max_attempts",
        "tags",
        "description",
        "metadata",
        "pending_reason",
    ];
    let got = fields.map(|field| task[field].clone());
    let wanted = json!(["  Label ", "shop.label", "shipping", "high", 3, ["vip", "express"], "line 1\nline 2", {"team": 7}, "scheduled"]);
    assert_eq!(Value::from(got.to_vec()), wanted);
    let text = app.get("/tasks/1/payload").await.text;
    assert_eq!(text, payload.replace("\r\n", "\n"));
}

#[tokio::test]
async fn what_is_wrong_is_told_and_what_was_typed_is_kept() {
    let app = TestApp::new();
    for (field, typed, told) in [
        ("title", "", "must have at least 1 character"),
        ("payload", "{\"a\": }", "is not JSON"),
        ("payload", "1} , {", "is not JSON"),
        ("kind", "a b", "must be"),
        ("max_attempts", "many", "must be a number"),
        ("max_attempts", "0", "must be 1 to 100"),
        ("run_at", "tomorrow", "RFC 3339"),
        ("depends_on", "7", "which does not exist"),
        ("depends_on", "x", "must be ids"),
        ("metadata", "[1]", "must be an object"),
        ("deadline_at", "2020-01-01T00:00:00Z", "must be later"),
    ] {
        let mut fields = vec![("title", "kept title"), ("description", "kept text")];
        fields.retain(|(name, _)| *name != field);
        fields.push((field, typed));
        let answer = send(&app, "/tasks/new", &fields).await;
        assert_eq!(answer.status, 422, "{field}={typed}: {}", answer.text);
        let text = &answer.text;
        assert!(text.contains(&format!("id=\"fault-{field}\"")), "{field}={typed}: {text}");
        assert!(text.contains(told), "{field}={typed}: {text}");
        assert!(text.contains("kept text"), "{field}");
    }
    assert_eq!(app.get("/api/v1/tasks").await.ok(200), json!([]), "nothing was created");
}

#[tokio::test]
async fn a_form_of_another_sort_is_refused() {
    let app = TestApp::new();
    let headers = [super::OWN, ("content-type", "text/plain")];
    let answer = app.call("POST", "/tasks/new", &headers, "title=x").await;
    assert_eq!(answer.status, 415);
    let answer = app.call("POST", "/tasks/new", &[super::OWN, super::FORM], "title=%zz").await;
    assert_eq!(answer.status, 400);
    let huge = format!("title=x&payload={}", "1".repeat(4_000_000));
    let answer = app.call("POST", "/tasks/new", &[super::OWN, super::FORM], huge).await;
    assert_eq!(answer.status, 413);
    let many = format!("title=x{}", "&a".repeat(100));
    let answer = app.call("POST", "/tasks/new", &[super::OWN, super::FORM], many).await;
    assert_eq!(answer.status, 400);
    let long = format!("key={}", "x".repeat(10_000));
    let app = TestApp::with_key("k");
    let answer = app.call("POST", "/sign-in", &[super::OWN, super::FORM], long).await;
    assert_eq!(answer.status, 413, "nobody who is not signed in sends much");
}

#[tokio::test]
async fn an_edit_writes_only_what_was_changed() {
    let app = TestApp::new();
    let written = "{ \"id\":  1970670598291982290,\n\"f\": 1.10 }";
    let body = format!(
        "{{\"title\": \"t\", \"kind\": \"job\", \"payload\": {written}, \"tags\": [\"a\"], \"timeout_seconds\": 9}}"
    );
    let id = app.json("POST", "/api/v1/tasks", body).await.ok(201)["id"].clone();
    let at = format!("/tasks/{id}/edit");
    let form = page(&app, &at).await;
    assert!(form.contains("1970670598291982290"), "{form}");
    let shown = written.replace('\n', "\r\n");
    let place = sent(
        &app,
        &at,
        &[
            ("title", "new"),
            ("payload", &shown),
            ("tags", "a"),
            ("timeout_seconds", ""),
            ("max_attempts", "5"),
            ("then", "save"),
        ],
    )
    .await;
    assert_eq!(place, format!("/tasks/{id}"));
    let task = app.task(&id).await;
    assert_eq!((&task["title"], &task["timeout_seconds"]), (&json!("new"), &Value::Null));
    assert_eq!(app.get(&format!("/tasks/{id}/payload")).await.text, written);
}

#[tokio::test]
async fn an_edit_of_what_somebody_else_changed_meanwhile_is_not_saved_unless_somebody_insists() {
    let app = TestApp::new();
    let id = app.titled("t").await["id"].clone();
    let at = format!("/tasks/{id}/edit");
    app.put(&format!("/api/v1/tasks/{id}"), &json!({"title": "theirs"})).await.ok(200);
    // Shown again for another fault, the form is still the one of the version that was seen.
    let wrong =
        send(&app, &at, &[("version", "1"), ("title", "mine"), ("max_attempts", "x")]).await;
    assert!(
        wrong.status == 422 && wrong.text.contains("name=\"version\" value=\"1\""),
        "{}",
        wrong.text
    );
    let stale = send(&app, &at, &[("version", "1"), ("title", "mine")]).await;
    assert_eq!(stale.status, 412);
    assert!(
        stale.text.contains("Somebody changed it") && stale.text.contains("value=\"mine\""),
        "{}",
        stale.text
    );
    assert!(stale.text.contains("name=\"version\" value=\"2\""), "{}", stale.text);
    assert_eq!(app.task(&id).await["title"], "theirs");
    sent(&app, &at, &[("version", "2"), ("title", "mine")]).await;
    assert_eq!(app.task(&id).await["title"], "mine");
}

#[tokio::test]
async fn a_field_that_nobody_touched_is_not_written_over_what_somebody_else_made_of_it() {
    let app = TestApp::new();
    let id = app.titled("before").await["id"].clone();
    let at = format!("/tasks/{id}/edit");
    let form = page(&app, &at).await;
    let was =
        form.split("name=\"was-title\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let was = was.expect("what the form showed").to_owned();
    app.put(&format!("/api/v1/tasks/{id}"), &json!({"title": "theirs"})).await.ok(200);
    let mine = [("was-title", was.as_str()), ("title", "before"), ("priority", "high")];
    let stale = send(&app, &at, &[&mine[..], &[("version", "1")]].concat()).await;
    assert_eq!(stale.status, 412);
    assert!(
        stale.text.contains("value=\"theirs\""),
        "what nobody touched is shown as it is: {}",
        stale.text
    );
    sent(&app, &at, &[&mine[..], &[("version", "2")]].concat()).await;
    let task = app.task(&id).await;
    assert_eq!((&task["title"], &task["priority"]), (&json!("theirs"), &json!("high")));
}

#[tokio::test]
async fn a_taken_key_is_told_and_a_copy_keeps_its_back_off() {
    let app = TestApp::new();
    let body = json!({"title": "t", "unique_key": "k", "retry": {"strategy": "fixed", "base_seconds": 7.0}});
    let id = app.create(&body).await["id"].clone();
    let answer = send(&app, "/tasks/new", &[("title", "mine"), ("unique_key", "k")]).await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.text.contains("task 1 holds it") && answer.text.contains("value=\"mine\""),
        "{}",
        answer.text
    );
    let form = page(&app, &format!("/tasks/new?from={id}")).await;
    assert!(form.contains("&quot;strategy&quot;:&quot;fixed&quot;"), "{form}");
}

#[tokio::test]
async fn what_is_no_version_lets_nothing_through() {
    let app = TestApp::new();
    let id = app.titled("t").await["id"].clone();
    for version in ["junk", "99999999999999999999", "-1"] {
        for path in [
            format!("/tasks/{id}/edit"),
            format!("/tasks/{id}/retry"),
            "/queues/default".to_owned(),
        ] {
            let answer = send(&app, &path, &[("title", "mine"), ("version", version)]).await;
            assert_eq!(answer.status, 422, "{path} {version}");
        }
    }
    assert_eq!(app.task(&id).await["title"], "t");
}

#[tokio::test]
async fn a_field_that_is_not_known_is_refused() {
    let app = TestApp::new();
    let answer = send(&app, "/tasks/new", &[("title", "t"), ("prioritty", "high")]).await;
    assert!(answer.status == 422 && answer.text.contains("prioritty"), "{}", answer.text);
    assert_eq!(app.get("/api/v1/tasks").await.ok(200), json!([]));
    app.titled("t").await;
    for path in ["/tasks?stauts=failed", "/tasks/many?do=delete&stauts=failed"] {
        let answer = app.get(path).await;
        assert!(answer.status == 422 && answer.text.contains("stauts"), "{path}: {}", answer.text);
    }
    let fields = [("do", "delete"), ("sure", "yes"), ("stauts", "failed")];
    assert_eq!(send(&app, "/tasks/many", &fields).await.status, 422);
    assert_eq!(app.get("/api/v1/tasks").await.ok(200).as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn line_ends_that_a_field_cannot_hold_are_no_edit() {
    let app = TestApp::new();
    let id = app.titled("two\nlines").await["id"].clone();
    let at = format!("/tasks/{id}/edit");
    sent(&app, &at, &[("title", "twolines"), ("description", "new"), ("then", "save")]).await;
    let task = app.task(&id).await;
    assert_eq!((&task["title"], &task["description"]), (&json!("two\nlines"), &json!("new")));
}

#[tokio::test]
async fn edit_and_retry_runs_the_task_with_its_new_payload() {
    let app = TestApp::new();
    let running = app.running("t").await;
    let id = &running["id"];
    let body = json!({"lease_token": running["lease_token"], "error": "bad", "retryable": false});
    app.post(&format!("/api/v1/tasks/{id}/fail"), &body).await.ok(200);
    sent(
        &app,
        &format!("/tasks/{id}/edit"),
        &[("payload", "{\"better\": true}"), ("then", "retry")],
    )
    .await;
    let again = app.claim(1).await.remove(0);
    assert_eq!((&again["id"], &again["payload"]), (id, &json!({"better": true})));
    let answer =
        send(&app, &format!("/tasks/{id}/edit"), &[("payload", "{"), ("then", "save")]).await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.text.contains("is not JSON") && answer.text.contains("{</textarea>"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn settings_of_a_queue_are_saved_and_what_the_form_does_not_show_stays() {
    let app = TestApp::new();
    let retry = json!({"strategy": "fixed", "base_seconds": 3.0});
    app.put(
        "/api/v1/queues/mail",
        &json!({"defaults": {"retry": retry}, "concurrency_key_limit": 2}),
    )
    .await
    .ok(200);
    let form = page(&app, "/queues/mail").await;
    assert!(form.contains("name=\"concurrency_key_limit\" value=\"2\""), "{form}");
    let fields = [
        ("version", "1"),
        ("concurrency_limit", "4"),
        ("concurrency_key_limit", "2"),
        ("rate_tasks", "10"),
        ("rate_seconds", "60"),
        ("starvation_guard", "0"),
        ("priority", "high"),
        ("completed_seconds", "3600"),
    ];
    assert_eq!(sent(&app, "/queues/mail", &fields).await, "/queues/mail?saved=1");
    let queue = app.get("/api/v1/queues/mail").await.ok(200);
    assert_eq!(queue["rate_limit"], json!({"tasks": 10, "per_seconds": 60}));
    assert_eq!((&queue["concurrency_limit"], &queue["starvation_guard"]), (&json!(4), &json!(0)));
    assert_eq!(
        (&queue["defaults"]["retry"]["strategy"], &queue["defaults"]["priority"]),
        (&json!("fixed"), &json!("high"))
    );
    assert_eq!(queue["retention"]["completed_seconds"], 3600);
    let stale = send(&app, "/queues/mail", &fields).await;
    assert_eq!(stale.status, 412, "it was changed since the form was shown");
    assert!(stale.text.contains("Somebody changed it"), "{}", stale.text);
    for (field, typed) in [
        ("concurrency_limit", "0"),
        ("concurrency_limit", "many"),
        ("rate_tasks", "7"),
        ("max_attempts", "1000"),
    ] {
        let answer = send(&app, "/queues/mail", &[(field, typed)]).await;
        assert_eq!(answer.status, 422, "{field}={typed}: {}", answer.text);
        assert!(answer.text.contains(&format!("id=\"fault-{field}\"")), "{field}: {}", answer.text);
        assert!(answer.text.contains(&format!("value=\"{typed}\"")), "{field}");
    }
    assert_eq!(app.get("/api/v1/queues/mail").await.ok(200), queue);
}
