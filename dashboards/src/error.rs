//! Why nothing is served.

use std::{io, net::SocketAddr};

use thiserror::Error;

/// A server that did not start, or ended by itself.
#[derive(Debug, Error)]
#[error("serve HTTP on {address}: {kind}")]
pub struct ServeError {
    pub address: SocketAddr,
    #[source]
    pub kind: ServeErrorKind,
}

#[derive(Debug, Error)]
pub enum ServeErrorKind {
    #[error("the address is taken; is another worker running here? Set http.listen to another port")]
    Taken,
    #[error("{0}")]
    Io(#[source] io::Error),
}

impl ServeError {
    pub(crate) fn new(address: SocketAddr, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::AddrInUse => ServeErrorKind::Taken,
            _ => ServeErrorKind::Io(error),
        };
        Self { address, kind }
    }
}
