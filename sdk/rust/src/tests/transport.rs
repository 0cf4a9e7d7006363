//! The one real transport, against a server of a few lines on the loopback interface.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{SIGNED, WORKSPACE};
use crate::{Call, Client, Error, Method};

/// Answers one connection after another with these bytes, and hands out what it was sent.
async fn serve(answers: Vec<String>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("the port is bound");
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let mut buffer = vec![0; 16 * 1024];
            let length = socket.read(&mut buffer).await.expect("a request");
            requests.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            // The client may have seen enough, and gone.
            let _unread = socket.write_all(answer.as_bytes()).await;
        }
        requests
    });
    (format!("http://{address}"), server)
}

fn get(base_url: &str) -> Call<String> {
    let client = Client::builder().base_url(base_url).device_token("token").body_limit(64).build();
    client.expect("the settings are right").request(Method::Get, "/things").retries(0)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_signed_request_arrives() {
    let (base_url, server) = serve(vec![answer("201 Created", "x-request-id: r-1\r\n", "made")]).await;
    let client = Client::builder().base_url(base_url).workspace(WORKSPACE, "secret").build().expect("right");

    let response = client.call::<String>(&SIGNED, "/things").json(&"hi").with_response().await.expect("an answer");
    assert_eq!((response.status, response.value.as_str(), response.request_id.as_deref()), (201, "made", Some("r-1")));

    let request = &server.await.expect("the server is done")[0];
    assert!(request.starts_with("POST /things HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n\"hi\""), "{request}");
    for header in ["x-signature: ", "x-nonce: ", "x-timestamp: ", "idempotency-key: ", "user-agent: flightdeck-rust/"] {
        assert!(request.contains(header), "{header} is missing: {request}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, _never_asked) = serve(vec![answer("200 OK", "", "stolen")]).await;
    let (base_url, _server) = serve(vec![answer("307 Moved", &format!("location: {elsewhere}/\r\n"), "")]).await;
    let error = get(&base_url).await.expect_err("a redirect is not an answer");
    assert_eq!(error.as_api().map(|refusal| refusal.status), Some(307));
}

#[tokio::test]
async fn a_large_body_is_cut_off_with_and_without_a_length() {
    let large = "x".repeat(65);
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n41\r\n{large}\r\n0\r\n\r\n");
    let (base_url, _server) =
        serve(vec![answer("200 OK", "", &large), chunked, answer("200 OK", "", &large[1..])]).await;
    for _ in 0..2 {
        let error = get(&base_url).await.expect_err("65 bytes are more than 64");
        assert!(matches!(error, Error::Decode { status: 200, .. }), "{error:?}");
    }
    assert_eq!(get(&base_url).await.expect("64 bytes are not").len(), 64);
}

#[tokio::test]
async fn whether_a_request_may_have_arrived_is_known() {
    let (base_url, server) = serve(vec![String::new()]).await;
    let error = get(&base_url).await.expect_err("the server hangs up");
    assert!(matches!(error, Error::Connection { maybe_delivered: true, .. }), "{error:?}");

    server.await.expect("the server is done, and its port closed");
    let error = get(&base_url).await.expect_err("nothing listens");
    assert!(matches!(error, Error::Connection { maybe_delivered: false, .. }), "{error:?}");
}
