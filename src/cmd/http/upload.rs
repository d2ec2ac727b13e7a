//! Data that goes out while the answer may already come in: a server may answer as it reads, or before it has read all.

use std::io::{self, Read, Write};

use nix::poll::PollFlags;

use super::fail::send;
use super::request::Payload;
use super::stream::Stream;
use crate::cmd::Fault;
use crate::cmd::net::Sock;

/// Data on its way.
pub struct Upload {
    payload: Payload,
    address: String,
    is_over: bool,
    failed: Option<Fault>,
}

impl Upload {
    /// Data for this address, from its first byte.
    pub fn new(mut payload: Payload, address: &str) -> Self {
        payload.rewind();
        Self { payload, address: address.to_owned(), is_over: false, failed: None }
    }

    /// Whether nothing more is sent: all is, or it failed.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Why not all was sent. What the server said before it hung up can still be read, and says more.
    pub fn failed(&self) -> Option<&Fault> {
        self.failed.as_ref()
    }

    /// The data, for another request.
    pub fn into_payload(self) -> Payload {
        self.payload
    }

    /// Sends until something comes in: how many bytes of it, 0 at the end of the stream; none once sending is over.
    ///
    /// # Errors
    /// Those of reading, of the limits, and of data that can't be read.
    pub fn exchange(&mut self, stream: &mut Stream, room: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match receive(stream, room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                came => return came.map(Some),
            }
            let piece = match self.payload.piece() {
                Ok(piece) => piece,
                Err(fault) => {
                    let text = fault.to_string();
                    self.failed = Some(fault);
                    self.is_over = true;
                    return Err(io::Error::other(text));
                }
            };
            match pass_on(stream, piece) {
                Ok(None) => {
                    self.is_over = true;
                    return Ok(None);
                }
                Ok(Some(count)) => self.payload.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    stream.sock().wait(PollFlags::POLLIN | PollFlags::POLLOUT)?;
                }
                Err(error) => {
                    self.failed = Some(send(&self.address, &error));
                    self.is_over = true;
                    return Ok(None);
                }
            }
        }
    }
}

/// Reads what is there.
fn receive(stream: &mut Stream, room: &mut [u8]) -> io::Result<usize> {
    let tls = match stream {
        Stream::Plain(sock) => return Now(sock).read(room),
        Stream::Tls(tls) => tls,
    };
    loop {
        match tls.conn.reader().read(room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
        tls.conn.read_tls(&mut Now(&mut tls.sock))?;
        tls.conn.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
}

/// Sends some of a piece, as much as goes at once; none where the piece is empty and all before it is sent.
fn pass_on(stream: &mut Stream, piece: &[u8]) -> io::Result<Option<usize>> {
    let tls = match stream {
        Stream::Plain(_) if piece.is_empty() => return Ok(None),
        Stream::Plain(sock) => return Now(sock).write(piece).map(Some),
        Stream::Tls(tls) => tls,
    };
    while tls.conn.wants_write() {
        tls.conn.write_tls(&mut Now(&mut tls.sock))?;
    }
    if piece.is_empty() { Ok(None) } else { tls.conn.writer().write(piece).map(Some) }
}

/// A socket that does not wait: `WouldBlock` in place of that.
struct Now<'a>(&'a mut Sock);

impl Read for Now<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(&[io::IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
