//! Live events as a client hears them, over real sockets: the stream, the WebSocket, and who may not listen.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use taskflow_api::{ApiOptions, Cors};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::app::{PATIENCE, TestApp, options};

/// One event of a stream.
#[derive(Debug)]
struct Heard {
    id: String,
    event: String,
    data: Value,
}

/// A stream of events, read from its socket.
struct Stream {
    lines: tokio::io::Lines<BufReader<TcpStream>>,
    head: Vec<String>,
}

impl Stream {
    async fn open(address: SocketAddr, target: &str, headers: &str) -> Self {
        let mut socket = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET {target} HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.expect("sent");
        let mut lines = BufReader::new(socket).lines();
        let mut head = Vec::new();
        loop {
            let line = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("read");
            match line.expect("a head").to_ascii_lowercase() {
                line if line.is_empty() => return Self { lines, head },
                line => head.push(line),
            }
        }
    }

    /// The next event; lengths of chunks and comments are passed over.
    async fn next(&mut self) -> Heard {
        let mut heard = Heard { id: String::new(), event: String::new(), data: Value::Null };
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await.expect("in time");
            let line = line.expect("read").expect("the stream goes on");
            if line.is_empty() && !heard.event.is_empty() {
                return heard;
            }
            match line.split_once(": ") {
                Some(("id", id)) => heard.id = id.to_owned(),
                Some(("event", event)) => heard.event = event.to_owned(),
                Some(("data", data)) => heard.data = serde_json::from_str(data).expect("JSON"),
                _ => {}
            }
        }
    }
}

async fn create(app: &TestApp, body: Value) -> i64 {
    let made = app.post("/api/v1/tasks", &body).await;
    made.ok(201)["id"].as_i64().expect("an id")
}

#[tokio::test]
async fn a_stream_tells_a_task_s_life() {
    let app = TestApp::new();
    let address = app.serve().await;
    let mut stream = Stream::open(address, "/api/v1/events", "").await;
    assert!(stream.head[0].starts_with("http/1.1 200"), "{:?}", stream.head);
    for line in
        ["content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"]
    {
        assert!(stream.head.iter().any(|one| one == line), "{line} in {:?}", stream.head);
    }
    let ready = stream.next().await;
    assert_eq!((ready.event.as_str(), &ready.data["id"]), ("ready", &json!(ready.id)));
    let id = create(&app, json!({"title": "a", "kind": "job", "tags": ["x"]})).await;
    let claim = app.post("/api/v1/tasks/claim", &json!({"worker": "w1"})).await.ok(200);
    let token = claim["tasks"][0]["lease_token"].clone();
    let beat = json!({"lease_token": token, "progress": {"percent": 40, "message": "so far"}});
    app.post(&format!("/api/v1/tasks/{id}/heartbeat"), &beat).await.ok(200);
    let done = json!({"lease_token": token});
    app.post(&format!("/api/v1/tasks/{id}/complete"), &done).await.ok(200);
    app.post("/api/v1/queues/mail/pause", &json!({})).await.ok(200);
    let task = |status: &str, attempt: u32, version: u32| {
        json!({"id": id, "queue": "default", "kind": "job", "status": status, "attempt": attempt,
               "version": version, "tags": ["x"]})
    };
    let held = |mut task: Value| {
        task["worker"] = json!("w1");
        task
    };
    let progressing = |mut task: Value| {
        task["progress"] = json!({"percent": 40.0, "message": "so far"});
        task
    };
    let right = [
        ("task.created", task("pending", 0, 1)),
        ("task.started", held(task("in_progress", 1, 2))),
        ("task.progress", progressing(held(task("in_progress", 1, 2)))),
    ];
    for (event, task) in right {
        let heard = stream.next().await;
        assert_eq!((heard.event.as_str(), &heard.data["task"]), (event, &task));
        assert_eq!((&heard.data["id"], &heard.data["type"]), (&json!(heard.id), &json!(event)));
        assert_eq!(heard.data["at"], "2026-01-01T00:00:00.000000Z");
    }
    let completed = stream.next().await;
    assert_eq!(
        (completed.event.as_str(), &completed.data["task"]["version"]),
        ("task.completed", &json!(3))
    );
    let queue = stream.next().await;
    assert_eq!(
        (queue.event.as_str(), &queue.data["queue"]),
        ("queue.changed", &json!({"name": "mail"}))
    );
}

#[tokio::test]
async fn a_stream_goes_on_where_a_client_lost_it() {
    let app = TestApp::new();
    let address = app.serve().await;
    let mut stream = Stream::open(address, "/api/v1/events?queue=mail", "").await;
    let ready = stream.next().await;
    let first = create(&app, json!({"title": "a", "queue": "mail"})).await;
    create(&app, json!({"title": "another's"})).await;
    let second = create(&app, json!({"title": "b", "queue": "mail"})).await;
    let one = stream.next().await;
    assert_eq!(one.data["task"]["id"], first);
    drop(stream);
    let header = format!("last-event-id: {}\r\n", one.id);
    let mut again = Stream::open(address, "/api/v1/events?queue=mail", &header).await;
    assert_eq!(again.next().await.event, "ready");
    assert_eq!(again.next().await.data["task"]["id"], second);
    // For who cannot send a header; and the header comes first.
    let target = format!("/api/v1/events?queue=mail&last_event_id={}", ready.id);
    let mut again = Stream::open(address, &target, "").await;
    again.next().await;
    assert_eq!(again.next().await.data["task"]["id"], first);
    let mut again = Stream::open(address, &target, &header).await;
    again.next().await;
    assert_eq!(again.next().await.data["task"]["id"], second);
    let target = "/api/v1/events?last_event_id=0123456789abcdef-7";
    let mut stranger = Stream::open(address, target, "").await;
    stranger.next().await;
    let resync = stranger.next().await;
    assert_eq!((resync.event.as_str(), &resync.data["type"]), ("resync", &json!("resync")));
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_in_words() {
    let app = TestApp::new();
    let ids = vec!["1"; 201].join(",");
    for (query, pointer, code) in [
        ("type=task", "?type", "unknown-word"),
        ("type=", "?type", "unknown-word"),
        ("task=0", "?task", "task-ids"),
        ("task=1,,2", "?task", "task-ids"),
        ("task=%2B1", "?task", "task-ids"),
        (&format!("task={ids}"), "?task", "task-ids"),
        ("queue=", "?queue", "name"),
        ("kind=a%20b", "?kind", "name"),
        ("status=done", "?status", "unknown-word"),
        ("tag=", "?tag", "length"),
        ("last_event_id=12", "?last_event_id", "event-id"),
        ("since=1", "?since", "unknown-parameter"),
        ("queue=a&queue=b", "?queue", "repeated"),
    ] {
        app.get(&format!("/api/v1/events?{query}")).await.blames(pointer, code);
    }
    for id in ["garbage", "0123456789abcdef-", "\u{e9}"] {
        let answer = app.call("GET", "/api/v1/events", &[("last-event-id", id)], "").await;
        answer.blames("?last_event_id", "event-id");
    }
    assert_eq!(app.services.events.subscribers(), 0, "nobody stayed behind");
}

#[tokio::test]
async fn pages_of_other_origins_may_not_listen() {
    let cors = Cors::Only(vec!["https://app.example".into()]);
    let app = TestApp::with(ApiOptions { cors, ..options() });
    let address = app.serve().await;
    for path in ["events", "ws"] {
        for origin in ["https://evil.example", "null", "https://app.example.evil"] {
            let headers = [("origin", origin), ("host", "queue.example")];
            let answer = app.call("GET", &format!("/api/v1/{path}"), &headers, "").await;
            answer.refused(403, "foreign-origin");
        }
    }
    for origin in ["https://app.example".to_owned(), format!("http://{address}")] {
        let mut socket = open(address, &[("origin", &origin)]).await.expect("let in");
        assert_eq!(said(&mut socket).await["type"], "ready", "{origin}");
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn open(address: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Socket, Box<Error>> {
    let url = format!("ws://{address}/api/v1/ws");
    let mut request = url.into_client_request().expect("a request");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a value"));
    }
    let (socket, _) = connect_async(request).await.map_err(Box::new)?;
    Ok(socket)
}

/// A connection that is ready.
async fn socket(address: SocketAddr) -> Socket {
    let mut socket = open(address, &[]).await.expect("a connection");
    assert_eq!(said(&mut socket).await, json!({"type": "ready"}));
    socket
}

async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.expect("sent");
}

/// The next message of the server.
async fn said(socket: &mut Socket) -> Value {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("in time") {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("JSON"),
            Some(Ok(Message::Ping(_))) => {}
            other => panic!("no message: {other:?}"),
        }
    }
}

/// The code with which the server closes.
async fn closed(
    socket: &mut (impl futures_util::Stream<Item = Result<Message, Error>> + Unpin),
) -> u16 {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("in time") {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(_)) => {}
            other => panic!("not closed with a code: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_websocket_tells_what_was_subscribed_to_until_it_is_not() {
    let app = TestApp::new();
    let address = app.serve().await;
    let mut socket = socket(address).await;
    let filter = json!({"queue": "mail", "type": "task.created"});
    say(&mut socket, json!({"type": "subscribe", "id": "mails", "filter": filter})).await;
    let subscribed = said(&mut socket).await;
    assert_eq!((&subscribed["type"], &subscribed["id"]), (&json!("subscribed"), &json!("mails")));
    create(&app, json!({"title": "another's"})).await;
    let id = create(&app, json!({"title": "a", "queue": "mail"})).await;
    let told = said(&mut socket).await;
    assert_eq!((&told["type"], &told["subscription"]), (&json!("event"), &json!("mails")));
    assert_eq!(
        (&told["event"]["type"], &told["event"]["task"]["id"]),
        (&json!("task.created"), &json!(id))
    );
    say(&mut socket, json!({"type": "unsubscribe", "id": "mails"})).await;
    assert_eq!(said(&mut socket).await, json!({"type": "unsubscribed", "id": "mails"}));
    create(&app, json!({"title": "b", "queue": "mail"})).await;
    // Again from where it was, under another name.
    let last = subscribed["position"].clone();
    let again =
        json!({"type": "subscribe", "id": "again", "filter": filter, "last_event_id": last});
    say(&mut socket, again).await;
    assert_eq!(said(&mut socket).await["type"], "subscribed");
    assert_eq!(said(&mut socket).await["event"]["task"]["id"], json!(id));
    assert_eq!(said(&mut socket).await["event"]["task"]["id"], json!(id + 1));
    let stranger = json!({"type": "subscribe", "id": "x", "last_event_id": "0123456789abcdef-7"});
    say(&mut socket, stranger).await;
    assert_eq!(said(&mut socket).await["type"], "subscribed");
    assert_eq!(said(&mut socket).await["event"]["type"], "resync");
    assert_eq!(app.services.events.subscribers(), 2);
    socket.close(None).await.expect("sent");
    let farewell = timeout(PATIENCE, socket.next()).await.expect("in time");
    assert!(matches!(farewell, Some(Ok(Message::Close(_)))), "answered: {farewell:?}");
    drop(socket);
    let gone = async {
        while app.services.events.subscribers() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("who goes makes room");
}

#[tokio::test]
async fn what_a_websocket_says_wrongly_is_refused_in_words_and_it_goes_on() {
    let app = TestApp::new();
    let address = app.serve().await;
    let mut socket = socket(address).await;
    for (message, code, pointer) in [
        ("nonsense", "malformed-json", None),
        ("[]", "invalid-input", Some("")),
        (r#"{"id":"a"}"#, "invalid-input", Some("/type")),
        (r#"{"type":"dance"}"#, "invalid-input", Some("/type")),
        (r#"{"type":"ping","type":"ping"}"#, "duplicate-key", None),
        (r#"{"type":"subscribe"}"#, "invalid-input", Some("/id")),
        (r#"{"type":"subscribe","id":"a\u0000"}"#, "invalid-input", Some("/id")),
        (r#"{"type":"subscribe","id":"a","filter":[]}"#, "invalid-input", Some("/filter")),
        (
            r#"{"type":"subscribe","id":"a","filter":{"status":"x"}}"#,
            "invalid-input",
            Some("/filter/status"),
        ),
        (
            r#"{"type":"subscribe","id":"a","last_event_id":"1"}"#,
            "invalid-input",
            Some("/last_event_id"),
        ),
        (r#"{"type":"unsubscribe","id":"a"}"#, "invalid-input", Some("/id")),
        (r#"{"type":"ping","more":1}"#, "invalid-input", Some("/more")),
    ] {
        socket.send(Message::text(message)).await.expect("sent");
        let error = said(&mut socket).await;
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("error"), &json!(code)),
            "{message}: {error}"
        );
        assert_eq!(error["errors"][0]["pointer"].as_str(), pointer, "{message}: {error}");
    }
    say(&mut socket, json!({"type": "ping"})).await;
    assert_eq!(said(&mut socket).await, json!({"type": "pong"}));
    for n in 0..32 {
        say(&mut socket, json!({"type": "subscribe", "id": format!("{n}")})).await;
        assert_eq!(said(&mut socket).await["type"], "subscribed");
    }
    say(&mut socket, json!({"type": "subscribe", "id": "one more"})).await;
    assert_eq!(said(&mut socket).await["errors"][0]["code"], "too-many");
}

#[tokio::test]
async fn a_websocket_that_says_too_much_is_closed_with_a_code() {
    let app = TestApp::new();
    let address = app.serve().await;
    for size in [17 * 1024, 60 * 1024, 5 * 1024 * 1024] {
        let (mut sink, mut stream) = socket(address).await.split();
        // The server does not read the longest to its end: a client that reads meanwhile is told why.
        let sending = tokio::spawn(async move { sink.send(Message::text("x".repeat(size))).await });
        assert_eq!(closed(&mut stream).await, 1009, "{size} bytes");
        sending.abort();
    }
    let mut binary = socket(address).await;
    binary.send(Message::binary(vec![1, 2])).await.expect("sent");
    assert_eq!(closed(&mut binary).await, 1003);
    let mut busy = socket(address).await;
    for _ in 0..201 {
        busy.send(Message::Ping(Vec::new().into())).await.expect("sent");
    }
    assert_eq!(closed(&mut busy).await, 1008);
}

#[tokio::test]
async fn a_browser_sends_its_key_as_a_sub_protocol() {
    let app = TestApp::with_key("s3cret/key");
    let address = app.serve().await;
    let refused = open(address, &[]).await.expect_err("no key");
    assert!(matches!(*refused, Error::Http(answer) if answer.status() == 401));
    for wrong in
        ["taskflow, taskflow.key.other", "taskflow.key.s3cret%2Fkey, taskflow.key.s3cret%2Fkey"]
    {
        assert!(open(address, &[("sec-websocket-protocol", wrong)]).await.is_err(), "{wrong}");
    }
    let offered = [("sec-websocket-protocol", "taskflow, taskflow.key.s3cret%2Fkey")];
    let mut socket = open(address, &offered).await.expect("let in");
    assert_eq!(said(&mut socket).await, json!({"type": "ready"}));
    open(address, &[("x-api-key", "s3cret/key")]).await.expect("let in");
    // Nothing but a WebSocket may bring it so.
    let offered =
        [("upgrade", "websocket"), ("sec-websocket-protocol", "taskflow.key.s3cret%2Fkey")];
    for path in ["tasks", "queues/ws", "workers/ws"] {
        let path = format!("/api/v1/{path}");
        app.call("GET", &path, &offered, "").await.refused(401, "unauthorized");
    }
}

#[tokio::test]
async fn one_that_breaks_off_while_it_is_let_in_leaves_nothing_behind() {
    let app = TestApp::new();
    let address = app.serve().await;
    for _ in 0..20 {
        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.set_zero_linger().expect("a reset at its end");
        let request = format!(
            "GET /api/v1/ws HTTP/1.1\r\nhost: {address}\r\nupgrade: websocket\r\n\
             connection: upgrade\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        client.write_all(request.as_bytes()).await.expect("sent");
    }
    let served = tokio::runtime::Handle::current().metrics();
    let idle = async {
        // The accept loop, the listener and this test are what is left.
        while served.num_alive_tasks() > 2 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, idle).await.expect("no connection is left");
}

#[tokio::test]
async fn who_listens_is_sent_home_when_the_server_stops() {
    let app = TestApp::new();
    let address = app.serve().await;
    let mut socket = socket(address).await;
    let mut stream = Stream::open(address, "/api/v1/events", "").await;
    stream.next().await;
    app.services.bus.close();
    assert_eq!(closed(&mut socket).await, 1001);
    let ended = async {
        while stream.lines.next_line().await.expect("read").is_some_and(|line| line != "0") {}
    };
    timeout(PATIENCE, ended).await.expect("the stream ends");
}
