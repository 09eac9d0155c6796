//! `[http]` and `[log]`: what the running worker shows of itself.

use std::net::{Ipv4Addr, SocketAddr};

use super::{key::section, units::words};

section! {
    /// The pages for machines: `/metrics`, `/healthz`, `/readyz`.
    struct HttpSection {
        /// Address and port; port 0 takes a free one.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 7171));
        /// Allow an address that other machines can reach. There is no login yet: whoever reaches it can read it.
        allow_remote: bool = false;
    }
}

section! {
    /// What is logged to standard error, and how. `KEYTRAIL_LOG` overrides the level, by module if need be.
    struct LogSection {
        /// `text` for people, `json` for collectors.
        format: LogFormat = LogFormat::Text;
        /// The least severe level that is written.
        level: LogLevel = LogLevel::Info;
    }
}

words! {
    /// How log lines are written.
    enum LogFormat ("`text` or `json`", "\"json\"") { Text = "text", Json = "json" }
}

words! {
    /// The least severe level that is written.
    enum LogLevel ("one of `error`, `warn`, `info`, `debug`, `trace`", "\"info\"") {
        Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace",
    }
}
