//! What monitoring asks: is it alive, is it ready, what are its numbers.
//!
//! In: [`Operations`], which the program implements over its own state. Out: plain text and JSON. `/healthz` never asks
//! anything but the process itself: a queue that is away is no reason to restart a worker.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde::Serialize;

/// The text format's version, as Prometheus asks for it.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where the answers come from. Called for every request: it must be quick and must not block.
pub trait Operations: Send + Sync + 'static {
    /// Whether it can do its work now, check by check.
    fn readiness(&self) -> Readiness;

    /// All metrics in Prometheus's text format.
    fn metrics(&self) -> String;
}

/// The answer of `/readyz`: 200 when every check is ok, else 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    pub checks: Vec<Check>,
}

/// One thing that must hold before work can be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `queue`, `lake`, …
    pub name: &'static str,
    pub ok: bool,
    /// One sentence; no secret, no text of an event.
    pub detail: String,
}

impl Readiness {
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

pub(crate) fn routes(operations: Arc<dyn Operations>) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(operations)
}

async fn alive() -> &'static str {
    "ok\n"
}

async fn ready(State(operations): State<Arc<dyn Operations>>) -> impl IntoResponse {
    #[derive(Serialize)]
    struct Answer {
        ready: bool,
        #[serde(flatten)]
        readiness: Readiness,
    }
    let readiness = operations.readiness();
    let ready = readiness.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&Answer { ready, readiness }) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "the readiness cannot be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn metrics(State(operations): State<Arc<dyn Operations>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], operations.metrics())
}
