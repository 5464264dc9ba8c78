//! Reads HTTP/1.1 answers out of bytes, whatever way the network has cut them.
//! It does no I/O, keeps no headers and no trailers, and knows no answer that ends with the connection:
//! the generator keeps its connections open.

/// Largest head of an answer, in bytes: ours are a few hundred.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Largest body, in bytes: a claim of 1,000 tasks with small payloads is under one megabyte.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most header fields of an answer.
const HEADERS_MAX: usize = 64;
/// Room made for one read, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// The bytes are no answer that this reader understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAnswer {
    /// The head is no HTTP/1.1.
    #[error("the answer is no HTTP: {0}")]
    Head(httparse::Error),
    /// The end of the body cannot be known.
    #[error("the answer has a bad length: {0}")]
    Length(&'static str),
    /// More bytes than this reader takes.
    #[error("the answer's {0} is longer than {1} bytes")]
    TooLong(&'static str, usize),
    /// Bytes that nobody asked for.
    #[error("{0} bytes came after the end of the answer")]
    Excess(usize),
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    bytes: usize,
    framing: Framing,
}

#[derive(Debug, Clone, Copy)]
enum Chunk {
    Size,
    Data(usize),
    Trailer,
}

/// One answer at a time; the buffers are kept from answer to answer.
#[derive(Debug)]
pub(super) struct AnswerReader {
    buffer: Vec<u8>,
    head: Option<Head>,
    /// The whole chunks of a chunked body; another body stays where it is in `buffer`.
    joined: Vec<u8>,
    chunk: Chunk,
    at: usize,
}

impl AnswerReader {
    /// A reader that has seen nothing.
    pub(super) fn new() -> Self {
        let buffer = Vec::with_capacity(READ_BYTES);
        Self { buffer, head: None, joined: Vec::new(), chunk: Chunk::Size, at: 0 }
    }

    /// Forgets the answer, ready for the next one.
    pub(super) fn reset(&mut self) {
        self.buffer.clear();
        self.head = None;
        self.joined.clear();
        self.chunk = Chunk::Size;
        self.at = 0;
    }

    /// Where the next bytes go, with room for them.
    pub(super) fn space(&mut self) -> &mut Vec<u8> {
        let missing = match self.head {
            Some(Head { bytes, framing: Framing::Length(length), .. }) => {
                (bytes + length).saturating_sub(self.buffer.len())
            }
            _ => 0,
        };
        self.buffer.reserve(missing.max(READ_BYTES / 4));
        &mut self.buffer
    }

    /// Looks at what has arrived: the status once the answer is whole, none while it is not.
    pub(super) fn advance(&mut self) -> Result<Option<u16>, BadAnswer> {
        let head = match self.head {
            Some(head) => head,
            None => {
                let Some(head) = read_head(&self.buffer)? else { return Ok(None) };
                self.at = head.bytes;
                *self.head.insert(head)
            }
        };
        let end = match head.framing {
            Framing::Length(length) if self.buffer.len() < head.bytes + length => return Ok(None),
            Framing::Length(length) => head.bytes + length,
            Framing::Chunked if !self.join_chunks()? => return Ok(None),
            Framing::Chunked => self.at,
        };
        match self.buffer.len() - end {
            0 => Ok(Some(head.status)),
            excess => Err(BadAnswer::Excess(excess)),
        }
    }

    /// The body of a whole answer; empty before.
    pub(super) fn body(&self) -> &[u8] {
        match self.head {
            Some(Head { bytes, framing: Framing::Length(length), .. }) => {
                self.buffer.get(bytes..bytes + length).unwrap_or_default()
            }
            Some(Head { framing: Framing::Chunked, .. }) => &self.joined,
            None => &[],
        }
    }

    /// Moves whole chunks to `joined`; true after the last one and its trailers.
    fn join_chunks(&mut self) -> Result<bool, BadAnswer> {
        loop {
            let rest = &self.buffer[self.at..];
            match self.chunk {
                Chunk::Size => match httparse::parse_chunk_size(rest) {
                    Ok(httparse::Status::Partial) => return Ok(false),
                    Ok(httparse::Status::Complete((used, size))) => {
                        let size = usize::try_from(size).unwrap_or(usize::MAX);
                        if size > BODY_BYTES_MAX.saturating_sub(self.joined.len()) {
                            return Err(BadAnswer::TooLong("body", BODY_BYTES_MAX));
                        }
                        self.at += used;
                        self.chunk = if size == 0 { Chunk::Trailer } else { Chunk::Data(size) };
                    }
                    Err(_) => return Err(BadAnswer::Length("a chunk's size is no number")),
                },
                Chunk::Data(size) => {
                    let Some(line_end) = rest.get(size..size + 2) else { return Ok(false) };
                    if line_end != b"\r\n" {
                        return Err(BadAnswer::Length("a chunk is longer than its size"));
                    }
                    self.joined.extend_from_slice(&rest[..size]);
                    self.at += size + 2;
                    self.chunk = Chunk::Size;
                }
                Chunk::Trailer => {
                    let Some(end) = rest.iter().position(|b| *b == b'\n') else { return Ok(false) };
                    let last = &rest[..end] == b"\r";
                    self.at += end + 1;
                    if last {
                        return Ok(true);
                    }
                }
            }
        }
    }
}

fn read_head(buffer: &[u8]) -> Result<Option<Head>, BadAnswer> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut fields);
    let bytes = match answer.parse(buffer) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) if buffer.len() > HEAD_BYTES_MAX => {
            return Err(BadAnswer::TooLong("head", HEAD_BYTES_MAX));
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(BadAnswer::Head(error)),
    };
    let status = answer.code.unwrap_or_default();
    let framing = framing(status, answer.headers)?;
    Ok(Some(Head { status, bytes, framing }))
}

fn framing(status: u16, fields: &[httparse::Header<'_>]) -> Result<Framing, BadAnswer> {
    let mut length = None;
    for field in fields {
        if field.name.eq_ignore_ascii_case("transfer-encoding") {
            return match field.value.eq_ignore_ascii_case(b"chunked") {
                true => Ok(Framing::Chunked),
                false => Err(BadAnswer::Length("a transfer encoding other than chunked")),
            };
        }
        if field.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(field.value).unwrap_or_default();
            let number = text.parse::<usize>();
            length = Some(number.map_err(|_| BadAnswer::Length("content-length is no number"))?);
        }
    }
    match (length, status) {
        (Some(length), _) if length > BODY_BYTES_MAX => {
            Err(BadAnswer::TooLong("body", BODY_BYTES_MAX))
        }
        (_, 204 | 304) => Ok(Framing::Length(0)),
        (Some(length), _) => Ok(Framing::Length(length)),
        (None, _) => Err(BadAnswer::Length("neither content-length nor chunks")),
    }
}
