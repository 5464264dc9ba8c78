//! Where heads begin and end in the bytes of a connection, so that none with a bare line feed
//! gets through. Parses nothing else: that is the HTTP library's work, which takes a bare line
//! feed for a line end. A proxy in front may not, and two opinions about where a head ends are
//! how requests are smuggled.
//!
//! The length of a body is told by the service once the head is parsed; a chunked one is followed from
//! chunk to chunk (RFC 9112, 7.1), and its lines may have no bare line feed either.

use super::watch::BodyLength;

/// The place in the stream.
#[derive(Debug)]
pub(super) enum Framing {
    /// Between two requests or in a head.
    Head(Head),
    /// A whole head was let through; its body length is not known yet.
    Complete,
    /// So many body bytes are still to come; never zero.
    Body(u64),
    /// In a chunked body.
    Chunks(Chunks),
    /// A head had a bare line feed: nothing more is let through.
    Refused,
    /// A line of a chunked body had one: the connection is over. Nothing can be made up for the parser here,
    /// it would take it for the chunk.
    Broken,
}

/// What has come of a head.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// A line that is not empty has come: the next empty one ends the head.
    begun: bool,
    /// Bytes of the unfinished line.
    line: usize,
    /// The last byte was a carriage return.
    after_cr: bool,
}

/// How many of the bytes may go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    /// The first so many; the rest must be shown again later.
    pub(super) count: usize,
    /// The last admitted byte is a bare line feed: spoil it, then the parser refuses the head.
    pub(super) bare_line_feed: bool,
}

impl Framing {
    /// The start of a connection.
    pub(super) fn new() -> Self {
        Self::Head(Head::default())
    }

    /// Looks at the next bytes of the stream and moves past those that it admits.
    pub(super) fn admit(&mut self, bytes: &[u8]) -> Admitted {
        match self {
            Self::Head(head) => match head.scan(bytes) {
                Scan::Open => Admitted { count: bytes.len(), bare_line_feed: false },
                Scan::Ends(count) => {
                    *self = Self::Complete;
                    Admitted { count, bare_line_feed: false }
                }
                Scan::BareLineFeed(count) => {
                    *self = Self::Refused;
                    Admitted { count, bare_line_feed: true }
                }
            },
            Self::Body(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                if *left == 0 {
                    *self = Self::new();
                }
                Admitted { count, bare_line_feed: false }
            }
            Self::Chunks(chunks) => {
                let count = match chunks.scan(bytes) {
                    Scan::Open => bytes.len(),
                    Scan::Ends(count) => {
                        *self = Self::new();
                        count
                    }
                    Scan::BareLineFeed(count) => {
                        *self = Self::Broken;
                        count - 1
                    }
                };
                Admitted { count, bare_line_feed: false }
            }
            Self::Complete | Self::Refused | Self::Broken => {
                Admitted { count: 0, bare_line_feed: false }
            }
        }
    }

    /// The head was parsed and such a body follows.
    pub(super) fn body(&mut self, length: BodyLength) {
        *self = match length {
            BodyLength::Exactly(0) => Self::new(),
            BodyLength::Exactly(length) => Self::Body(length),
            BodyLength::Chunked => Self::Chunks(Chunks::default()),
        };
    }

    /// Whether the peer may still be sending something that nobody will read.
    pub(super) fn is_cut_short(&self) -> bool {
        match self {
            Self::Head(head) => head.begun || head.line > 0,
            Self::Complete | Self::Body(_) | Self::Chunks(_) | Self::Refused | Self::Broken => true,
        }
    }
}

enum Scan {
    Open,
    Ends(usize),
    BareLineFeed(usize),
}

impl Head {
    fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut start = 0;
        while let Some(offset) = bytes[start..].iter().position(|byte| *byte == b'\n') {
            let at = start + offset;
            let after_cr = if at == 0 { self.after_cr } else { bytes[at - 1] == b'\r' };
            if !after_cr {
                return Scan::BareLineFeed(at + 1);
            }
            // The carriage return alone makes one byte. Empty lines before a request are allowed.
            let empty = self.line + offset == 1;
            if empty && self.begun {
                return Scan::Ends(at + 1);
            }
            self.begun |= !empty;
            self.line = 0;
            start = at + 1;
        }
        self.line += bytes.len() - start;
        self.after_cr = bytes.last().map_or(self.after_cr, |byte| *byte == b'\r');
        Scan::Open
    }
}

/// The place in a chunked body.
#[derive(Debug)]
pub(super) enum Chunks {
    /// In the line before a chunk: its length so far, and whether its digits are over.
    Size { length: u64, digits_over: bool, after_cr: bool },
    /// So many bytes of a chunk and its line end are still to come.
    Data(u64),
    /// After the last chunk: lines up to an empty one, as in a head.
    Trailer(Head),
}

impl Default for Chunks {
    fn default() -> Self {
        Self::Size { length: 0, digits_over: false, after_cr: false }
    }
}

impl Chunks {
    /// Goes through the bytes.
    fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match self {
                Self::Size { after_cr, .. } if *byte == b'\n' && !*after_cr => {
                    return Scan::BareLineFeed(at + 1);
                }
                Self::Size { length: 0, .. } if *byte == b'\n' => {
                    // An empty line ends it, be it the first.
                    *self = Self::Trailer(Head { begun: true, ..Head::default() });
                    at += 1;
                }
                Self::Size { length, .. } if *byte == b'\n' => {
                    *self = Self::Data(length.saturating_add(2));
                    at += 1;
                }
                Self::Size { length, digits_over, after_cr } => {
                    let digit = char::from(*byte).to_digit(16).filter(|_| !*digits_over);
                    match digit {
                        // The parser refuses a length that does not fit.
                        Some(digit) => {
                            *length = length.saturating_mul(16).saturating_add(digit.into());
                        }
                        None => *digits_over = true,
                    }
                    *after_cr = *byte == b'\r';
                    at += 1;
                }
                Self::Data(left) => {
                    let there = (bytes.len() - at) as u64;
                    let passed = there.min(*left);
                    *left -= passed;
                    at += usize::try_from(passed).unwrap_or(usize::MAX);
                    if *left == 0 {
                        *self = Self::default();
                    }
                }
                Self::Trailer(head) => {
                    return match head.scan(&bytes[at..]) {
                        Scan::Open => Scan::Open,
                        Scan::Ends(count) => Scan::Ends(at + count),
                        Scan::BareLineFeed(count) => Scan::BareLineFeed(at + count),
                    };
                }
            }
        }
        Scan::Open
    }
}
