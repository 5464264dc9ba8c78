//! Names of queues, kinds and workers.

use crate::name::{Kind, QueueName, WorkerName};

#[test]
fn a_queue_and_a_kind_follow_one_rule() {
    let long = "q".repeat(100);
    for good in ["a", "0", "default", "mail.eu-1_x:y", "A-", "9..", long.as_str()] {
        assert_eq!(QueueName::parse(good).map(|q| q.as_str().to_owned()).as_deref(), Ok(good));
        assert_eq!(Kind::parse(good).map(|k| k.to_string()).as_deref(), Ok(good));
    }
    let too_long = "q".repeat(101);
    for bad in [
        "",
        " ",
        ".a",
        "-a",
        "_a",
        ":a",
        "a b",
        "a/b",
        "../x",
        "a@b",
        "a\n",
        "\na",
        "a\0",
        "%",
        "*",
        "é",
        "a😀",
        "ａ",
        too_long.as_str(),
    ] {
        let why = QueueName::parse(bad).unwrap_err();
        assert!(why.to_string().starts_with("must be 1 to 100 characters"), "{bad:?}");
        assert!(Kind::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_worker_may_also_use_at_and_slash() {
    let long = "w".repeat(200);
    for good in ["w", "host-1.example:4711", "pod/worker@node_7", long.as_str()] {
        assert_eq!(WorkerName::parse(good).unwrap().as_str(), good);
    }
    let too_long = "w".repeat(201);
    for bad in ["", "/w", "@w", "-w", "w w", "w\r\n", "w\0", "wé", too_long.as_str()] {
        let why = WorkerName::parse(bad).unwrap_err();
        assert!(why.to_string().starts_with("must be 1 to 200 characters"), "{bad:?}");
    }
}

#[test]
fn the_defaults_are_valid_names() {
    assert_eq!(QueueName::default(), QueueName::parse("default").unwrap());
    assert_eq!(Kind::default(), Kind::parse("log").unwrap());
}

#[test]
fn the_built_in_kinds_are_left_to_workers_that_name_them() {
    assert_eq!(Kind::BUILT_IN, ["log", "sleep", "http", "command", "manual"]);
    assert_eq!(Kind::MANUAL, "manual");
    for word in Kind::BUILT_IN {
        assert!(Kind::parse(word).unwrap().is_built_in(), "{word}");
    }
    for word in ["mail", "LOG", "logs", "http2"] {
        assert!(!Kind::parse(word).unwrap().is_built_in(), "{word}");
    }
}
