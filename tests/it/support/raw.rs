//! A connection that speaks whatever it likes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATIENCE, TestApp};

/// A TCP connection to the service.
pub struct Raw(TcpStream);

impl Raw {
    /// Sends; the other end must still be there.
    pub async fn send(&mut self, text: &str) {
        assert!(self.try_send(text).await, "the connection is closed");
    }

    /// Sends, and says whether that was possible.
    pub async fn try_send(&mut self, text: &str) -> bool {
        self.0.write_all(text.as_bytes()).await.is_ok()
    }

    /// What comes first, or nothing if it is closed.
    pub async fn head(&mut self) -> String {
        let mut piece = vec![0; 16 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.0.read(&mut piece)).await.expect("an answer or an end");
        String::from_utf8_lossy(&piece[..read.unwrap_or(0)]).into_owned()
    }

    /// Everything until it is closed.
    pub async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        let reading = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut all)).await;
        let _ = reading.expect("the service closes the connection");
        String::from_utf8_lossy(&all).into_owned()
    }
}

impl TestApp {
    /// A connection to the service.
    pub async fn connect(&self) -> Raw {
        Raw(TcpStream::connect(self.address()).await.expect("a connection"))
    }

    /// Waits until so many calls are held. Nothing tells when a caller was given up, so this looks again and again.
    pub async fn held_is(&self, count: usize) {
        let waiting = async {
            while self.service().held() != count {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{} are held", self.service().held()));
    }
}
