//! The socket as the HTTP library sees it: notes progress for the clock, hands over one head at a
//! time, and closes in a way that lets the peer read its last answer. It holds no timer.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::framing::Framing;
use super::watch::Watch;

/// A blocked write counts as moving again after so many bytes: with the default limit of 30 s
/// this asks a little over 1 KiB/s of a peer, so that one byte now and then does not hold a
/// connection for ever.
const WRITE_PROGRESS: usize = 32 * 1024;
/// No more is read and thrown away before closing.
const DRAIN_MAX: usize = 16 * 1024 * 1024;
/// A spare buffer beyond this is given back when it is empty.
const HELD_KEEP: usize = 4 * 1024;
const HEAD_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// See the file's comment.
pub(super) struct Io {
    stream: TcpStream,
    watch: Arc<Watch>,
    framing: Framing,
    /// Bytes that came together with an earlier head and were not handed over yet, from `next` on.
    held: Vec<u8>,
    next: usize,
    /// Bytes written since the write was found blocked.
    progress: usize,
    blocked: bool,
    shut: bool,
    drained: usize,
    /// Whoever waits for the end of this socket hears it when this goes.
    _alive: oneshot::Sender<()>,
}

impl Io {
    /// Wraps a fresh socket.
    pub(super) fn new(stream: TcpStream, watch: Arc<Watch>, alive: oneshot::Sender<()>) -> Self {
        Self {
            stream,
            watch,
            framing: Framing::new(),
            held: Vec::new(),
            next: 0,
            progress: 0,
            blocked: false,
            shut: false,
            drained: 0,
            _alive: alive,
        }
    }

    /// Takes up the body length of the head that went through last.
    fn take_up_body(&mut self) -> io::Result<()> {
        if matches!(self.framing, Framing::Complete) {
            // The parser asks for more although it has a whole head: it sees another end than we
            // do, and nothing after it can be trusted.
            let Some(length) = self.watch.take_body() else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no end of the head"));
            };
            self.framing.body(length);
        }
        Ok(())
    }

    /// Reads from the socket and holds back what lies beyond the present head or body.
    fn poll_socket(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let fresh = &buf.filled()[before..];
        if fresh.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.watch.received(matches!(self.framing, Framing::Head(_)));
        let admitted = self.framing.admit(fresh);
        if admitted.count < fresh.len() {
            self.held.extend_from_slice(&fresh[admitted.count..]);
        }
        buf.set_filled(before + admitted.count);
        if admitted.bare_line_feed {
            buf.filled_mut()[before + admitted.count - 1] = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads another protocol than HTTP, what was held back first.
    fn poll_raw(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rest = &self.held[self.next..];
        if rest.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let rest = &rest[..rest.len().min(buf.remaining())];
        buf.put_slice(rest);
        self.next += rest.len();
        Poll::Ready(Ok(()))
    }

    /// Hands over what was held back.
    fn read_held(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = &self.held[self.next..];
        let rest = &rest[..rest.len().min(buf.remaining())];
        self.watch.received(matches!(self.framing, Framing::Head(_)));
        let admitted = self.framing.admit(rest);
        buf.put_slice(&rest[..admitted.count]);
        if admitted.bare_line_feed
            && let Some(last) = buf.filled_mut().last_mut()
        {
            *last = 0;
        }
        self.next += admitted.count;
        if self.next == self.held.len() {
            self.next = 0;
            self.held.clear();
            self.held.shrink_to(HELD_KEEP);
        }
    }

    /// Tells a peer that was too slow so, if the socket takes it at once.
    fn say_timeout(&self) {
        if let Err(error) = self.stream.try_write(HEAD_TIMEOUT) {
            tracing::debug!(%error, "could not answer a slow head");
        }
    }

    fn note_write(&mut self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending if !self.blocked => {
                self.blocked = true;
                self.progress = 0;
                self.watch.blocked(true);
            }
            Poll::Ready(Ok(count)) if self.blocked => {
                self.progress += count;
                if self.progress >= WRITE_PROGRESS {
                    self.unblock();
                }
            }
            _ => {}
        }
    }

    fn unblock(&mut self) {
        if self.blocked {
            self.blocked = false;
            self.watch.blocked(false);
        }
    }

    /// Throws away what still comes. Closing a socket with unread bytes resets the connection,
    /// and the peer may lose the answer that says why it was refused.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [MaybeUninit::uninit(); 4096];
        while self.drained < DRAIN_MAX {
            let mut buf = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Pending => {
                    if self.watch.is_hasty() || !self.framing.is_cut_short() {
                        return Poll::Ready(());
                    }
                    self.watch.draining();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    self.drained += buf.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.watch.is_expired() {
            this.say_timeout();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if this.watch.is_upgraded() {
            return this.poll_raw(cx, buf);
        }
        this.take_up_body()?;
        if matches!(this.framing, Framing::Refused) {
            // The parser looks at the spoilt head once it seems complete.
            let end = b"\r\n\r\n";
            buf.put_slice(&end[..end.len().min(buf.remaining())]);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if this.held.is_empty() {
            ready!(this.poll_socket(cx, buf))?;
        } else {
            this.read_held(buf);
        }
        // What came before the break goes first: nothing at all would look like the peer's end.
        if matches!(this.framing, Framing::Broken) && buf.filled().len() == before {
            let why = "a bare line feed in a chunked body";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.note_write(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The HTTP library flushes when its own buffer is empty: nothing is blocked then.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.unblock();
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.shut = true;
            // A body length that was told but not taken up decides whether to drain.
            if matches!(this.framing, Framing::Complete)
                && let Some(length) = this.watch.take_body()
            {
                this.framing.body(length);
            }
        }
        ready!(this.poll_drain(cx));
        Poll::Ready(Ok(()))
    }
}
