//! The connection: a socket with limits, TLS over it where asked, and one bounded buffer for what comes in.

use std::io::{self, Read, Write};
use std::time::Instant;

use super::request::Payload;
use super::upload::Upload;
use crate::cmd::Fault;
use crate::cmd::net::Sock;

/// What is read at once; also the most that one splice moves.
pub const BUFFER: usize = 256 << 10;

/// A connection with or without TLS.
pub enum Stream {
    /// As it is.
    Plain(Sock),
    /// TLS.
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, Sock>>),
}

impl Stream {
    /// The socket below.
    pub fn sock(&mut self) -> &mut Sock {
        match self {
            Self::Plain(sock) => sock,
            Self::Tls(tls) => &mut tls.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(sock) => sock.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(sock) => sock.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(sock) => sock.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// A stream and what was read of it but not yet used.
pub struct Conn {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    upload: Option<Upload>,
    /// When the last of the request was sent.
    sent_at: Instant,
}

impl Conn {
    /// A connection of which nothing is read yet.
    pub fn new(stream: Stream) -> Self {
        Self { stream, buffer: vec![0; BUFFER], start: 0, end: 0, upload: None, sent_at: Instant::now() }
    }

    /// The stream, to write on and to splice from.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Sends this as the answer is read.
    pub fn upload(&mut self, upload: Upload) {
        self.upload = Some(upload);
    }

    /// Whether data is still being sent.
    pub fn is_uploading(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| !upload.is_over())
    }

    /// Why not all data was sent.
    pub fn send_failed(&self) -> Option<Fault> {
        self.upload.as_ref()?.failed().cloned()
    }

    /// When the last of the request was sent, or the last that was before the answer began.
    pub fn sent_at(&self) -> Instant {
        self.sent_at
    }

    /// Sends no more of the data, and gives it back.
    pub fn end_upload(&mut self) -> Option<Payload> {
        self.upload.take().map(Upload::into_payload)
    }

    /// Sends the rest of the data, and passes over what else comes. The answer is there: errors matter no more.
    pub fn finish_upload(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        while !upload.is_over() {
            let Ok(Some(1..)) = upload.exchange(&mut self.stream, &mut self.buffer) else { return };
        }
    }

    /// What is read and not used.
    pub fn held(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Marks bytes as used.
    pub fn used(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads more behind what is held; 0 is the end of the stream, or a full buffer.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn more(&mut self) -> io::Result<usize> {
        if self.end == self.buffer.len() && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        if let Some(upload) = self.upload.as_mut().filter(|upload| !upload.is_over() && !room.is_empty()) {
            let came = upload.exchange(&mut self.stream, room);
            self.sent_at = Instant::now();
            if let Some(count) = came? {
                self.end += count;
                return Ok(count);
            }
        }
        let count = self.stream.read(room)?;
        self.end += count;
        Ok(count)
    }
}
