//! Where heads begin and end in the bytes of a connection, so that none with a bare line feed
//! gets through. Parses nothing else: that is the HTTP library's work, which takes a bare line
//! feed for a line end. A proxy in front may not, and two opinions about where a head ends are
//! how requests are smuggled.
//!
//! The length of a body is told by the service once the head is parsed. The end of a chunked body
//! is not known here, so heads after one are not looked at on that connection.

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
    /// After a chunked body: everything is let through.
    Unknown,
    /// A head had a bare line feed: nothing more is let through.
    Refused,
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
            Self::Unknown => Admitted { count: bytes.len(), bare_line_feed: false },
            Self::Complete | Self::Refused => Admitted { count: 0, bare_line_feed: false },
        }
    }

    /// The head was parsed and such a body follows.
    pub(super) fn body(&mut self, length: BodyLength) {
        *self = match length {
            BodyLength::Exactly(0) => Self::new(),
            BodyLength::Exactly(length) => Self::Body(length),
            BodyLength::Chunked => Self::Unknown,
        };
    }

    /// Whether the peer may still be sending something that nobody will read.
    pub(super) fn is_cut_short(&self) -> bool {
        match self {
            Self::Head(head) => head.begun || head.line > 0,
            Self::Complete | Self::Body(_) | Self::Unknown | Self::Refused => true,
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
