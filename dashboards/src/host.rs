//! Which names a server on loopback answers to.
//!
//! A page of any site can make a browser ask `http://its-own-name:7171/`, and that name may resolve to 127.0.0.1. The
//! `Host` header then still says the site's name, so it is refused with 421. An address that is not loopback is reached
//! through names that only its owner knows; there every name is taken.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Whether only names of this machine are answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoopbackOnly(pub(crate) bool);

pub(crate) async fn check(State(LoopbackOnly(only)): State<LoopbackOnly>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if only && !host.is_some_and(is_local) {
        return (StatusCode::MISDIRECTED_REQUEST, "this server answers only to names of this machine\n")
            .into_response();
    }
    next.run(request).await
}

fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Uri>() else { return false };
    let Some(name) = authority.host() else { return false };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "LOCALHOST:7171", "127.0.0.1", "127.0.0.1:7171", "127.9.9.9", "[::1]", "[::1]:80"] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7171",
            "localhost.evil.example",
            "10.0.0.1",
            "127.0.0.1.evil.example",
            "a b",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
