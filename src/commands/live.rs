//! `keytrail doctor --live`: asks the worker beside it whether it is alive; a container's health check that needs no shell and no curl.
//!
//! In: the address of `http.listen`. Out: exit code 0 where `/healthz` answers 200, 1 otherwise, with one line on standard error. It waits at most
//! a few seconds and reads at most one line, whatever is listening there.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Result;

use crate::{
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

/// For connecting, sending and each piece of the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// A status line is shorter.
const MOST_BYTES: u64 = 256;

pub(crate) fn run(settings: &Settings, output: Output) -> Result<ExitCode> {
    let address = reachable(settings.file.http.listen)?;
    match status(address) {
        Ok(200) => Ok(ExitCode::Ok),
        Ok(other) => {
            output.warn(format!("the worker at {address} answers {other}"));
            Ok(ExitCode::Partial)
        }
        Err(error) => {
            output.warn(format!("no worker answers at {address}: {error}"));
            Ok(ExitCode::Partial)
        }
    }
}

/// Where to ask: an address that stands for all of them is asked on loopback.
fn reachable(listen: SocketAddr) -> Result<SocketAddr, Failure> {
    if listen.port() == 0 {
        return Err(Failure::new(ExitCode::Config, "http.listen has port 0, so nobody knows where the worker answers")
            .hint("choose a port"));
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, listen.port()))
}

fn status(address: SocketAddr) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(MOST_BYTES)).read_line(&mut line)?;
    let mut words = line.split_ascii_whitespace();
    let code = words.next().filter(|version| version.starts_with("HTTP/1.")).and_then(|_| words.next()?.parse().ok());
    code.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it does not speak HTTP"))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// Answers one request with these bytes.
    fn answering(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 512];
            let length = stream.read(&mut request).expect("a request");
            assert!(request.get(..length).is_some_and(|text| text.starts_with(b"GET /healthz HTTP/1.1\r\n")));
            // The other side need not read all of it.
            drop(stream.write_all(answer));
        });
        address
    }

    fn code(listen: SocketAddr) -> ExitCode {
        let mut settings = Settings::default();
        settings.file.http.listen = listen;
        run(&settings, Output::new(true)).expect("an answer either way")
    }

    #[test]
    fn only_200_is_alive() {
        assert_eq!(code(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")), ExitCode::Ok);
        assert_eq!(code(answering(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")), ExitCode::Partial);
        assert_eq!(code(answering(b"SSH-2.0-OpenSSH_9.2\r\n")), ExitCode::Partial);
        assert_eq!(code(answering(b"")), ExitCode::Partial);
        assert_eq!(code(answering(&[b'x'; 100_000])), ExitCode::Partial);
    }

    #[test]
    fn nobody_there_is_not_alive() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        drop(listener);
        assert_eq!(code(address), ExitCode::Partial);
    }

    #[test]
    fn an_address_for_all_is_asked_on_loopback() {
        let asked = |text: &str| reachable(text.parse().expect("an address")).map(|address| address.to_string());
        assert_eq!(asked("0.0.0.0:7171").ok().as_deref(), Some("127.0.0.1:7171"));
        assert_eq!(asked("[::]:7171").ok().as_deref(), Some("[::1]:7171"));
        assert_eq!(asked("10.0.0.1:7171").ok().as_deref(), Some("10.0.0.1:7171"));
        assert!(asked("127.0.0.1:0").is_err());
    }
}
