//! The body: framing and unpacking as a stream of bounded memory.

use std::io::{self, BufRead, Read};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::head::{Coding, Framing, MAX_HEAD};
use super::stream::Conn;

/// The longest line that announces a chunk.
const MAX_CHUNK_LINE: usize = 4 << 10;

/// A body as it is framed.
pub struct Body<'a> {
    conn: &'a mut Conn,
    state: State,
    /// Bytes of trailers so far.
    trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    /// So many bytes to the end.
    Length(u64),
    /// All that comes.
    Close,
    /// So many bytes to the end of this chunk; then a line end.
    Chunk(u64),
    /// The next line announces a chunk.
    Announce,
    /// Lines behind the last chunk.
    Trailers,
}

impl<'a> Body<'a> {
    /// The body that follows a head.
    pub fn new(conn: &'a mut Conn, framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Close => State::Close,
            Framing::Chunked => State::Announce,
        };
        Self { conn, state, trailers: 0 }
    }

    /// For splice: the connection, and the bytes that may still be moved, where framing does not stand between them.
    pub fn direct(&mut self) -> Option<(&mut Conn, Option<u64>)> {
        match self.state {
            _ if self.conn.is_uploading() => None,
            State::Length(left) => Some((self.conn, Some(left))),
            State::Close => Some((self.conn, None)),
            _ => None,
        }
    }

    /// Says what was moved past us; `ended` is the end of the connection.
    pub fn moved(&mut self, count: u64, ended: bool) {
        self.state = match self.state {
            State::Length(left) if left == count => State::Done,
            // The next read finds the end again and says so.
            State::Length(left) => State::Length(left - count.min(left)),
            State::Close if ended => State::Done,
            other => other,
        };
    }

    /// The error of a connection that ended too early.
    fn cut(left: Option<u64>) -> io::Error {
        let text = match left {
            Some(left) => format!("the connection ended {left} bytes before the body's end"),
            None => "the connection ended within the body".to_owned(),
        };
        io::Error::new(io::ErrorKind::ConnectionAborted, text)
    }

    /// Reads more; false is the end of the connection.
    fn more(&mut self) -> io::Result<bool> {
        match self.conn.more() {
            Ok(count) => Ok(count > 0),
            // Without TLS's closing alert anyone on the way may have cut it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the connection ended without TLS's closing alert, the body may be cut",
            )),
            Err(error) => Err(error),
        }
    }

    /// Goes on until there are bytes of the body, or it is done.
    fn advance(&mut self) -> io::Result<()> {
        let wrong = |text: &'static str| Err(io::Error::new(io::ErrorKind::InvalidData, text));
        loop {
            let held = self.conn.held();
            match self.state {
                State::Done => return Ok(()),
                State::Length(_) | State::Close if !held.is_empty() => return Ok(()),
                State::Chunk(left) if left > 0 && !held.is_empty() => return Ok(()),
                State::Length(left) => {
                    if !self.more()? {
                        return Err(Self::cut(Some(left)));
                    }
                }
                State::Close => {
                    if !self.more()? {
                        self.state = State::Done;
                    }
                }
                State::Chunk(0) => match held {
                    [b'\r', b'\n', ..] => {
                        self.conn.used(2);
                        self.state = State::Announce;
                    }
                    [b'\n', ..] => {
                        self.conn.used(1);
                        self.state = State::Announce;
                    }
                    [] | [b'\r'] => {
                        if !self.more()? {
                            return Err(Self::cut(None));
                        }
                    }
                    _ => return wrong("a chunk is longer than it was announced"),
                },
                State::Chunk(_) => {
                    if !self.more()? {
                        return Err(Self::cut(None));
                    }
                }
                State::Announce => match httparse::parse_chunk_size(held) {
                    Ok(httparse::Status::Complete((used, size))) => {
                        self.conn.used(used);
                        self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
                    }
                    Ok(httparse::Status::Partial) if held.len() < MAX_CHUNK_LINE => {
                        if !self.more()? {
                            return Err(Self::cut(None));
                        }
                    }
                    _ => return wrong("the size of a chunk is wrong"),
                },
                State::Trailers => match held.iter().position(|b| *b == b'\n') {
                    Some(end) => {
                        let last = end == 0 || (end == 1 && held.starts_with(b"\r"));
                        self.conn.used(end + 1);
                        self.trailers += end + 1;
                        if last {
                            self.state = State::Done;
                        } else if self.trailers > MAX_HEAD {
                            return wrong("the trailers are larger than 64 KiB");
                        }
                    }
                    None if held.len() > MAX_HEAD => return wrong("the trailers are larger than 64 KiB"),
                    None => {
                        if !self.more()? {
                            return Err(Self::cut(None));
                        }
                    }
                },
            }
        }
    }
}

impl BufRead for Body<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.advance()?;
        let held = self.conn.held();
        let most = match self.state {
            State::Length(left) | State::Chunk(left) => {
                usize::try_from(left).unwrap_or(usize::MAX).min(held.len())
            }
            State::Close => held.len(),
            _ => 0,
        };
        Ok(held.get(..most).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.conn.used(count);
        match &mut self.state {
            State::Length(left) => {
                *left -= count as u64;
                if *left == 0 {
                    self.state = State::Done;
                }
            }
            State::Chunk(left) => *left -= count as u64,
            _ => {}
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// A body as it is meant: unpacked where it was packed.
pub enum Unpacked<'a> {
    /// As it came.
    Plain(Body<'a>),
    /// gzip.
    Gzip(Box<MultiGzDecoder<Body<'a>>>),
    /// zlib.
    Zlib(Box<ZlibDecoder<Body<'a>>>),
    /// Bare deflate, which some servers send in place of zlib.
    Deflate(Box<DeflateDecoder<Body<'a>>>),
}

impl<'a> Unpacked<'a> {
    /// Unpacks a body. An empty one stays empty.
    ///
    /// # Errors
    /// Those of the first read.
    pub fn new(mut body: Body<'a>, coding: &Coding) -> io::Result<Self> {
        if matches!(coding, Coding::Identity | Coding::Other(_)) {
            return Ok(Self::Plain(body));
        }
        let Some(&first) = body.fill_buf()?.first() else { return Ok(Self::Plain(body)) };
        Ok(match coding {
            Coding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(body))),
            // CM is 8 and CINFO at most 7 in a zlib header, RFC 1950 section 2.2.
            _ if first & 0x0f == 8 && first >> 4 <= 7 => Self::Zlib(Box::new(ZlibDecoder::new(body))),
            _ => Self::Deflate(Box::new(DeflateDecoder::new(body))),
        })
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(body) => body.read(buffer),
            Self::Gzip(body) => body.read(buffer),
            Self::Zlib(body) => body.read(buffer),
            Self::Deflate(body) => body.read(buffer),
        }
    }
}
