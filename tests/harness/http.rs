//! As much of HTTP/1.1 as the fault proxy and the probes of `/metrics` need.
//!
//! In: a stream. Out: heads as they stand, bodies whole (chunked ones joined). Nothing here is meant for a hostile peer:
//! both ends belong to the test.

use std::io;

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// The first line and the fields of a request or of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) first: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn with(self, name: &str, value: impl Into<String>) -> Self {
        let mut head = self.without(name);
        head.fields.push((name.to_owned(), value.into()));
        head
    }

    /// The status of an answer, 0 for what is none.
    pub(crate) fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// Reads a head; `None` where the peer has closed before the first byte.
pub(crate) async fn read_head(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Head>> {
    let Some(first) = read_line(stream).await? else { return Ok(None) };
    let mut head = Head { first, fields: Vec::new() };
    loop {
        let line = read_line(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(Some(head));
        }
        if let Some((name, value)) = line.split_once(':') {
            head.fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }
}

/// The body that follows a head. `to_the_end`: whether one without a length ends with the connection.
pub(crate) async fn read_body(
    stream: &mut (impl AsyncBufRead + Unpin),
    head: &Head,
    to_the_end: bool,
) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if head.field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let line = read_line(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
            exactly(stream, size, &mut body).await?;
            read_line(stream).await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match head.field("content-length").and_then(|value| value.parse().ok()) {
        Some(length) => exactly(stream, length, &mut body).await?,
        None if to_the_end => {
            stream.read_to_end(&mut body).await?;
        }
        None => {}
    }
    Ok(body)
}

async fn exactly(stream: &mut (impl AsyncRead + Unpin), length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let before = body.len() as u64;
    stream.take(length).read_to_end(body).await?;
    if body.len() as u64 - before == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

async fn read_line(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    while line.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

/// One request on a connection of its own; the status and the body of the answer.
pub(crate) async fn ask(address: &str, head: &Head, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let head =
        head.clone().with("Host", address).with("Content-Length", body.len().to_string()).with("Connection", "close");
    stream.write_all(&head.bytes()).await?;
    stream.write_all(body).await?;
    let head = read_head(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = read_body(&mut stream, &head, true).await?;
    Ok((head.status(), body))
}

/// A plain GET.
pub(crate) async fn get(address: &str, path: &str) -> io::Result<(u16, String)> {
    let head = Head { first: format!("GET {path} HTTP/1.1"), fields: Vec::new() };
    let (status, body) = ask(address, &head, &[]).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
