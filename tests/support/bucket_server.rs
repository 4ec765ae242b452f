//! An S3 server: moto, whose packages `scripts/with-servers` installs.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::{free_port, http, variable, wait_until};

/// A running S3 server with one bucket, `media`.
pub struct BucketServer {
    address: SocketAddr,
    process: Child,
}

impl BucketServer {
    pub async fn start() -> Self {
        let port = free_port();
        let process = Command::new("python3")
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .env("PYTHONPATH", variable("CONVO_TEST_PYTHON"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 starts");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let server = Self { address, process };
        wait_until("moto", || std::net::TcpStream::connect(address).is_ok());
        server.ask("PUT", "/media").await;
        server
    }

    /// Its URL, as `AWS_ENDPOINT_URL` takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The names of the objects in the bucket.
    pub async fn objects(&self) -> Vec<String> {
        let listed = self.ask("GET", "/media?list-type=2").await;
        let names = listed.split("<Key>").skip(1).filter_map(|part| part.split("</Key>").next());
        names.map(str::to_owned).collect()
    }

    async fn ask(&self, method: &str, path: &str) -> String {
        let host = format!("host: {}\r\n", self.address);
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{host}content-length: 0\r\nconnection: close\r\n\r\n"
        );
        let answer = http::raw(self.address, request).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        answer.body
    }
}

impl Drop for BucketServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
