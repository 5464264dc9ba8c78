//! Ids in paths and parameters in queries.

use super::peopled;
use crate::operations::operations;

#[tokio::test]
async fn what_is_no_id_is_invalid_input() {
    // 54
    let (app, before) = peopled().await;
    let digits = "9".repeat(4000);
    for id in [
        "abc",
        "-1",
        "0",
        "00",
        "007",
        "+7",
        "1.0",
        "1e3",
        "0x1",
        "9223372036854775808",
        "18446744073709551617",
        &digits,
        "1%20",
        "%201",
        "%31x",
        "1,2",
        "*",
        "null",
        "%E2%91%A0",
        "%D9%A1",
        "{550e8400-e29b-41d4-a716-446655440000}",
        "550E8400-E29B-41D4-A716-446655440000",
    ] {
        let path = format!("/api/v1/tasks/{id}");
        app.get(&path).await.blames("/task_id", "not-an-id");
        app.delete(&path).await.blames("/task_id", "not-an-id");
        app.json("PUT", &path, r#"{"title":"b"}"#).await.blames("/task_id", "not-an-id");
        let attempts = format!("{path}/attempts");
        app.get(&attempts).await.blames("/task_id", "not-an-id");
        let release = format!("{path}/release");
        app.json("POST", &release, "{}").await.blames("/task_id", "not-an-id");
    }
    let endless = format!("/api/v1/tasks/{}", "9".repeat(100_000 - 1));
    app.get(&endless[..60_000]).await.refused(414, "uri-too-long");
    assert_eq!(app.everything().await, before);
    // An encoded digit is a digit.
    assert_eq!(app.get("/api/v1/tasks/%31").await.ok(200)["id"], 1);
}

#[tokio::test]
async fn what_a_path_names_is_looked_at_before_the_body() {
    // 54, and 37
    let (app, before) = peopled().await;
    let (worker, queue) = ("w".repeat(201), "q".repeat(101));
    for operation in operations() {
        let (place, pointer, code, bad) = match operation.template {
            path if path.contains("{task_id}") => {
                ("{task_id}", "/task_id", "not-an-id", ["0", "-1", "1%00", "%31x", "%zz"])
            }
            path if path.contains("{worker}") => {
                ("{worker}", "/worker", "name", ["a%20b", "-a", "%00", "%E2%9C%93", &*worker])
            }
            path if path.contains("{queue}") => {
                ("{queue}", "/queue", "name", ["a%20b", "-a", "%00", "a%2Fb", &*queue])
            }
            path => {
                assert!(!path.contains('{'), "{path}: say here what its path names");
                continue;
            }
        };
        for text in bad {
            let path = operation.path_with(place, text);
            // No such body is taken anywhere.
            app.json(&operation.method, &path, "{").await.blames(pointer, code);
        }
        let path = operation.path_with(place, "%ff");
        app.json(&operation.method, &path, "{").await.refused(422, "invalid-input");
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn skip_and_limit_are_whole_numbers_within_bounds() {
    // 55
    let (app, _) = peopled().await;
    for (name, bad) in [
        ("skip", "-1"),
        ("skip", "1000001"),
        ("skip", "99999999999999999999"),
        ("skip", "1.5"),
        ("skip", "+1"),
        ("skip", "%201"),
        ("skip", "abc"),
        ("skip", ""),
        ("limit", "0"),
        ("limit", "-1"),
        ("limit", "1001"),
        ("limit", "1000000000"),
        ("limit", "4294967297"),
        ("limit", "1e9"),
        ("limit", "abc"),
        ("limit", ""),
        ("limit", "%D9%A1"),
    ] {
        let answer = app.get(&format!("/api/v1/tasks?{name}={bad}")).await;
        answer.blames(&format!("?{name}"), "out-of-range");
    }
    app.get("/api/v1/tasks?skip").await.blames("?skip", "out-of-range");
    for good in ["skip=0", "skip=1000000", "limit=1", "limit=1000", "limit=0007"] {
        app.get(&format!("/api/v1/tasks?{good}")).await.ok(200);
    }
}

#[tokio::test]
async fn a_skip_beyond_the_end_is_an_empty_page() {
    // 56: beyond the cap it is refused, above.
    let (app, _) = peopled().await;
    let page = app.get("/api/v1/tasks?skip=1000000").await.ok(200);
    assert_eq!(page, serde_json::json!([]));
}

#[tokio::test]
async fn filters_know_their_words_and_parameters_their_names() {
    // 57, 59: there is nothing to sort by.
    let (app, _) = peopled().await;
    for (query, pointer, code) in [
        ("status=done", "?status", "unknown-word"),
        ("status=PENDING", "?status", "unknown-word"),
        ("status=pending,failed", "?status", "unknown-word"),
        ("priority=1", "?priority", "unknown-word"),
        ("priority=highest", "?priority", "unknown-word"),
        ("status=failed&status=pending", "?status", "repeated"),
        ("limit=5&limit=5", "?limit", "repeated"),
        ("limit=5&%6cimit=5", "?limit", "repeated"),
        ("q=a&q=a", "?q", "repeated"),
        ("sort=id%3bdrop", "?sort", "unknown-parameter"),
        ("order_by=(select%201)", "?order_by", "unknown-parameter"),
        ("Limit=5", "?Limit", "unknown-parameter"),
        ("limit%00=5", "?limit\0", "unknown-parameter"),
        ("=5", "?", "unknown-parameter"),
        ("api_key=x", "?api_key", "unknown-parameter"),
    ] {
        app.get(&format!("/api/v1/tasks?{query}")).await.blames(pointer, code);
    }
    let two = app.get("/api/v1/tasks?limit=0&skip=-1").await.refused(422, "invalid-input");
    assert_eq!(two["errors"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_query_is_percent_encoded_utf_8() {
    // 63
    let (app, _) = peopled().await;
    for query in
        ["limit=%zz", "limit=%", "limit=5%", "limit=%f", "%zz=1", "status=%ff", "q=%ff", "%C0%AF"]
    {
        app.get(&format!("/api/v1/tasks?{query}")).await.refused(400, "invalid-url");
    }
    // `+` is a space, and an encoded `&` or `=` belongs to the value.
    app.get("/api/v1/tasks?status=in+progress").await.blames("?status", "unknown-word");
    app.get("/api/v1/tasks?status=pending%26limit=0").await.blames("?status", "unknown-word");
    app.get("/api/v1/tasks?limit%3D0").await.blames("?limit=0", "unknown-parameter");
    app.get("/api/v1/tasks?%6cimit=%31").await.ok(200);
    for empty in ["?", "?&", "?&&limit=1&", ""] {
        app.get(&format!("/api/v1/tasks{empty}")).await.ok(200);
    }
}
