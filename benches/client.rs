//! A small HTTP/1.1 client and what sends calls through it. It must cost little next to what it measures: calls
//! are signed beforehand, and of an answer only the status and where it ends are read.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A kept-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
    /// When its first byte came.
    pub first_byte: Instant,
}

impl Connection {
    /// Connects.
    pub async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4_096) })
    }

    /// Sends a call without waiting for its answer.
    pub async fn send(&mut self, call: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(call).await?)
    }

    /// Waits for the answer's end and says its status.
    pub async fn status(&mut self) -> anyhow::Result<u16> {
        self.fill().await.map(|(status, _, _)| status)
    }

    /// Waits for the answer.
    pub async fn answer(&mut self) -> anyhow::Result<Answer> {
        let (status, head, first_byte) = self.fill().await?;
        Ok(Answer { status, body: self.buffer[head..].to_vec(), first_byte })
    }

    /// Sends a call and waits for the answer.
    pub async fn call(&mut self, call: &[u8]) -> anyhow::Result<Answer> {
        self.send(call).await?;
        self.answer().await
    }

    /// Reads a whole answer: its status, where its body begins, when its first byte came.
    async fn fill(&mut self) -> anyhow::Result<(u16, usize, Instant)> {
        self.buffer.clear();
        let mut first_byte = None;
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server hung up after {:?}", String::from_utf8_lossy(&self.buffer));
            }
            let first_byte = *first_byte.get_or_insert_with(Instant::now);
            if let Some((status, head)) = whole(&self.buffer)? {
                return Ok((status, head, first_byte));
            }
        }
    }
}

/// The status and the length of the head, once all of an answer is there.
fn whole(bytes: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).context("an answer's head is no text")?;
    let status = head.get(9..12).and_then(|status| status.parse().ok()).context("an answer has no status")?;
    let mut length = 0;
    for line in head.split("\r\n").skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().context("an answer's length is no number")?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(bytes.ends_with(b"0\r\n\r\n").then_some((status, end + 4)));
        }
    }
    Ok((bytes.len() >= end + 4 + length).then_some((status, end + 4)))
}

/// Sends calls over so many connections, each of them waiting for its answer before it sends the next call.
/// Answers with calls per second; an answer with another status than `expected` is an error.
pub async fn throughput(to: SocketAddr, at_once: usize, calls: &[Bytes], expected: u16) -> anyhow::Result<f64> {
    let mut connections = Vec::with_capacity(at_once);
    for _ in 0..at_once {
        connections.push(Connection::open(to).await?);
    }
    let next = Cell::new(0);
    let begin = Instant::now();
    try_join_all(connections.into_iter().map(|connection| work(connection, calls, &next, expected))).await?;
    Ok(calls.len() as f64 / begin.elapsed().as_secs_f64())
}

async fn work(mut connection: Connection, calls: &[Bytes], next: &Cell<usize>, expected: u16) -> anyhow::Result<()> {
    while let Some(call) = calls.get(next.replace(next.get() + 1)) {
        connection.send(call).await?;
        let status = connection.status().await?;
        if status != expected {
            bail!("{status} instead of {expected}: {}", String::from_utf8_lossy(&connection.buffer));
        }
    }
    Ok(())
}

/// Asks again, a hundred times a second, until the answer to `call` satisfies `enough`.
pub async fn until(
    to: SocketAddr,
    call: &[u8],
    patience: Duration,
    enough: impl Fn(&Answer) -> bool,
) -> anyhow::Result<Answer> {
    let begin = Instant::now();
    let mut connection = Connection::open(to).await?;
    loop {
        let answer = connection.call(call).await?;
        if enough(&answer) {
            return Ok(answer);
        }
        if begin.elapsed() > patience {
            bail!("it did not come to pass in {patience:?}: {}", String::from_utf8_lossy(&answer.body));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A GET.
pub fn get(path: &str) -> Bytes {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").into()
}

/// A POST with headers, each ending in `\r\n`.
pub fn post(path: &str, headers: &str, body: &str) -> Bytes {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into()
}
