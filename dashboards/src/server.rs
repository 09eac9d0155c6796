//! The listener: bound first, so that a taken port is an error before any work begins, then served until cancelled.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, middleware};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    error::ServeError,
    host::{self, LoopbackOnly},
    operations::{self, Operations},
    security_headers,
};

/// A bound listener that does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds the address; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bound.await.map_err(|error| ServeError::new(address, error))
    }

    /// The address that it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the token is cancelled; answers under way are finished.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(self, operations: Arc<dyn Operations>, stop: CancellationToken) -> Result<(), ServeError> {
        let Self { listener, address } = self;
        let app = app(operations, address);
        axum::serve(listener, app)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
            .map_err(|error| ServeError::new(address, error))
    }
}

fn app(operations: Arc<dyn Operations>, address: SocketAddr) -> Router {
    operations::routes(operations)
        .layer(middleware::from_fn_with_state(LoopbackOnly(address.ip().is_loopback()), host::check))
        .layer(middleware::from_fn(security_headers::add))
}

#[cfg(test)]
mod tests;
