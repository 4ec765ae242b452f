//! The server to compare with: HTTP, each signature verified by itself, the JSON read, nothing stored.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use convo::telnyx::event::Event;
use convo::telnyx::signature::Verifier;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use warp::Filter;
use warp::http::StatusCode;

/// Serves on a free port, which it prints, until it is killed.
pub async fn serve(public_key: &str) {
    let verifier = Arc::new(Verifier::new(&[public_key.to_owned()]).expect("a key"));
    let webhook = warp::path!("webhooks" / "sms")
        .and(warp::post())
        .and(warp::header::<String>("telnyx-signature-ed25519"))
        .and(warp::header::<String>("telnyx-timestamp"))
        .and(warp::body::bytes())
        .map(move |signature: String, time: String, body: Bytes| {
            answer(&verifier, &signature, &time, &body)
        });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    println!("{address}");
    let service = warp::service(webhook);
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn answer(
    verifier: &Verifier,
    signature: &str,
    time: &str,
    body: &[u8],
) -> impl warp::Reply + use<> {
    let now = chrono::Utc::now().timestamp();
    let verified = verifier.verify(Some(time.as_bytes()), Some(signature.as_bytes()), body, now);
    let status = match (verified, Event::parse(body)) {
        (Ok(()), Ok(_)) => StatusCode::OK,
        (Err(_), _) => StatusCode::UNAUTHORIZED,
        (Ok(()), Err(_)) => StatusCode::BAD_REQUEST,
    };
    warp::reply::with_status(warp::reply::json(&serde_json::json!({"status": "stored"})), status)
}
