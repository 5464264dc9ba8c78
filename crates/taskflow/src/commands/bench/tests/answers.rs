//! The reader of answers: framings, cuts anywhere, and what is no answer.

use crate::commands::bench::answer::{AnswerReader, BadAnswer};

const SIZED: &[u8] =
    b"HTTP/1.1 201 Created\r\nContent-Length: 11\r\nx-request-id: 7\r\n\r\n{\"id\":1234}";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
    5;name=value\r\nhello\r\n6\r\n world\r\n0\r\nx-trailer: 1\r\n\r\n";

fn read_whole(bytes: &[u8]) -> Result<Option<(u16, Vec<u8>)>, BadAnswer> {
    let mut reader = AnswerReader::new();
    reader.space().extend_from_slice(bytes);
    Ok(reader.advance()?.map(|status| (status, reader.body().to_vec())))
}

#[test]
fn a_body_ends_where_its_length_says() {
    assert_eq!(read_whole(SIZED), Ok(Some((201, b"{\"id\":1234}".to_vec()))));
}

#[test]
fn chunks_are_joined_and_trailers_dropped() {
    assert_eq!(read_whole(CHUNKED), Ok(Some((200, b"hello world".to_vec()))));
}

#[test]
fn an_answer_may_arrive_one_byte_at_a_time() {
    let mut reader = AnswerReader::new();
    for (answer, body) in [(SIZED, "{\"id\":1234}"), (CHUNKED, "hello world")] {
        reader.reset();
        for byte in &answer[..answer.len() - 1] {
            reader.space().push(*byte);
            assert_eq!(reader.advance(), Ok(None));
        }
        reader.space().push(answer[answer.len() - 1]);
        assert!(matches!(reader.advance(), Ok(Some(200 | 201))));
        assert_eq!(reader.body(), body.as_bytes());
    }
}

#[test]
fn an_answer_may_be_cut_in_two_anywhere() {
    for answer in [SIZED, CHUNKED] {
        let whole = read_whole(answer);
        for cut in 1..answer.len() {
            let mut reader = AnswerReader::new();
            reader.space().extend_from_slice(&answer[..cut]);
            assert_eq!(reader.advance(), Ok(None), "cut at {cut}");
            reader.space().extend_from_slice(&answer[cut..]);
            let status = reader.advance();
            let read = status.map(|s| s.map(|s| (s, reader.body().to_vec())));
            assert_eq!(read, whole, "cut at {cut}");
        }
    }
}

#[test]
fn a_204_has_no_body_whatever_it_says() {
    assert_eq!(read_whole(b"HTTP/1.1 204 No Content\r\n\r\n"), Ok(Some((204, Vec::new()))));
}

#[test]
fn a_reader_forgets_the_answer_before() {
    let mut reader = AnswerReader::new();
    reader.space().extend_from_slice(CHUNKED);
    assert_eq!(reader.advance(), Ok(Some(200)));
    reader.reset();
    assert_eq!(reader.body(), b"");
    reader.space().extend_from_slice(SIZED);
    assert_eq!(reader.advance(), Ok(Some(201)));
    assert_eq!(reader.body(), b"{\"id\":1234}");
}

#[test]
fn what_is_no_answer_is_refused() {
    let refused = |bytes: &[u8]| read_whole(bytes).expect_err("must be refused");
    assert!(matches!(refused(b"SSH-2.0-OpenSSH_9\r\n"), BadAnswer::Head(_)));
    assert!(matches!(refused(b"HTTP/1.1 200 OK\r\n\r\n"), BadAnswer::Length(_)));
    let length = |text: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {text}\r\n\r\n");
    assert!(matches!(refused(length("-1").as_bytes()), BadAnswer::Length(_)));
    assert!(matches!(refused(length("99999999999").as_bytes()), BadAnswer::TooLong("body", _)));
    assert_eq!(refused(format!("{}ok!", length("2")).as_bytes()), BadAnswer::Excess(1));
    let chunks = |text: &str| {
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{text}").into_bytes()
    };
    assert!(matches!(refused(&chunks("zz\r\n")), BadAnswer::Length(_)));
    assert!(matches!(refused(&chunks("2\r\nlong\r\n0\r\n\r\n")), BadAnswer::Length(_)));
    assert!(matches!(refused(&chunks("FFFFFFFFF\r\n")), BadAnswer::TooLong("body", _)));
    let endless = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'a'; 70_000]].concat();
    assert!(matches!(refused(&endless), BadAnswer::TooLong("head", _)));
}
