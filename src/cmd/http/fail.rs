//! Which fault and which of curl's exit statuses an error of a request becomes.

use std::io;

use crate::cmd::Fault;
use crate::cmd::net::fail::{status, tls_error, tls_text};

/// A failed read of a head.
pub fn answer(address: &str, error: &io::Error) -> Fault {
    match error.kind() {
        // TLS that ends without its closing alert.
        io::ErrorKind::UnexpectedEof => {
            Fault::text("read", address, "the connection ended within the answer")
                .with_status(status::RECEIVE)
        }
        _ => receive(address, error),
    }
}

/// A failed read of a body.
pub fn receive(address: &str, error: &io::Error) -> Fault {
    let status = match error.kind() {
        io::ErrorKind::TimedOut => status::TIME,
        io::ErrorKind::ConnectionAborted if error.raw_os_error().is_none() => status::CUT,
        io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => status::CODING,
        io::ErrorKind::UnexpectedEof => status::CODING,
        _ => status::RECEIVE,
    };
    match tls_error(error) {
        Some(inner) => {
            Fault::text("read", address, format!("tls: {}", tls_text(inner).0)).with_status(status::RECEIVE)
        }
        None if status == status::CODING => {
            Fault::text("read", address, format!("the body cannot be unpacked: {error}")).with_status(status)
        }
        None => Fault::io("read", address, error).with_status(status),
    }
}

/// A failed write of the request.
pub fn send(address: &str, error: &io::Error) -> Fault {
    let status = if error.kind() == io::ErrorKind::TimedOut { status::TIME } else { status::SEND };
    Fault::io("send", address, error).with_status(status)
}
