//! Files from URLs that callers name, with servers on this machine: `127.0.0.1` is allowed where a test says so.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use comfy_runner_client::{FetchError, Fetcher};
use futures::TryStreamExt as _;

fn fetcher(allowed_hosts: &[&str]) -> Fetcher {
    let allowed_hosts: Vec<_> = allowed_hosts.iter().map(|host| host.to_string()).collect();
    Fetcher::new(&allowed_hosts).unwrap()
}

async fn error(fetcher: &Fetcher, url: &str) -> FetchError {
    match fetcher.fetch(url).await {
        Ok(_) => panic!("{url} was fetched"),
        Err(error) => error,
    }
}

/// A server that gives this answer to one request and closes the connection.
fn answer_once(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = connection.read(&mut request).unwrap();
        connection.write_all(answer).unwrap();
    });
    format!("http://{address}/file.png")
}

#[actix_rt::test]
async fn a_file_is_fetched_also_through_redirects() {
    let mut server = mockito::Server::new_async().await;
    let file = server.mock("GET", "/files/my%20fox.png?size=1").with_body(b"PNG").create_async().await;
    let moved =
        server.mock("GET", "/moved").with_status(302).with_header("location", "/files/my%20fox.png?size=1");
    let moved = moved.create_async().await;
    let fetched = fetcher(&["127.0.0.1"]).fetch(&format!("{}/moved", server.url())).await.unwrap();
    assert_eq!((fetched.name.as_str(), fetched.length), ("my fox.png", Some(3)));
    let pieces: Vec<_> = fetched.into_stream().try_collect().await.unwrap();
    assert_eq!(pieces.concat(), b"PNG");
    file.assert_async().await;
    moved.assert_async().await;
}

#[actix_rt::test]
async fn a_host_without_a_public_address_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let fetcher = fetcher(&[]);
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "0x7f000001",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "0.0.0.0",
        "169.254.169.254",
    ] {
        let error = error(&fetcher, &format!("http://{host}:{port}/")).await;
        assert!(matches!(error, FetchError::NotPublic(_)), "{host}: {error}");
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[actix_rt::test]
async fn a_redirect_to_a_host_that_is_not_allowed_is_not_followed() {
    let mut server = mockito::Server::new_async().await;
    let port = server.socket_address().port();
    let inner = server.mock("GET", "/inner").expect(0).create_async().await;
    let location = format!("http://127.0.0.1:{port}/inner");
    server.mock("GET", "/").with_status(307).with_header("location", &location).create_async().await;
    // mockito listens on 127.0.0.1, which `localhost` resolves to.
    let error = error(&fetcher(&["localhost"]), &format!("http://localhost:{port}/")).await;
    assert!(matches!(&error, FetchError::NotPublic(host) if host == "127.0.0.1"), "{error}");
    inner.assert_async().await;
}

#[actix_rt::test]
async fn redirects_without_an_end_are_given_up() {
    let mut server = mockito::Server::new_async().await;
    let round = server.mock("GET", "/").with_status(302).with_header("location", "/").expect(6);
    let round = round.create_async().await;
    let lost = server.mock("GET", "/lost").with_status(302).create_async().await;
    let fetcher = fetcher(&["127.0.0.1"]);
    assert!(matches!(error(&fetcher, &server.url()).await, FetchError::TooManyRedirects));
    let nowhere = error(&fetcher, &format!("{}/lost", server.url())).await;
    assert!(matches!(nowhere, FetchError::Redirect(_)), "{nowhere}");
    round.assert_async().await;
    lost.assert_async().await;
}

#[actix_rt::test]
async fn an_answer_without_a_file_is_an_error_that_names_the_host_and_no_path() {
    let mut server = mockito::Server::new_async().await;
    server.mock("GET", "/secret").with_status(404).create_async().await;
    let fetcher = fetcher(&["127.0.0.1"]);
    let missing = error(&fetcher, &format!("{}/secret", server.url())).await;
    assert_eq!(missing.to_string(), "the host \"127.0.0.1\" answered 404");
    // The socket does not listen, and keeps others from the port.
    let refusing = tokio::net::TcpSocket::new_v4().unwrap();
    refusing.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = error(&fetcher, &format!("http://{}/", refusing.local_addr().unwrap())).await;
    assert!(matches!(closed, FetchError::Broken { .. }), "{closed}");
    let unknown = error(&fetcher, "http://no-such-host.invalid/").await;
    assert!(matches!(unknown, FetchError::Unresolved(_)), "{unknown}");
    for no_url in ["", "photo.png", "ftp://example.com/a.png", "http://user:password@example.com/"] {
        let error = error(&fetcher, no_url).await;
        let is_expected =
            matches!(error, FetchError::NotAUrl(_) | FetchError::Scheme(_) | FetchError::Credentials);
        assert!(is_expected, "{no_url}: {error}");
    }
}

#[actix_rt::test]
async fn a_file_that_breaks_off_is_not_taken_for_a_whole_one() {
    let fetcher = fetcher(&["127.0.0.1"]);
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let fetched = fetcher.fetch(&answer_once(answer)).await.unwrap();
        assert!(fetched.into_stream().try_collect::<Vec<_>>().await.is_err());
    }
    let endless = error(&fetcher, &answer_once(b"HTTP/1.1 200 OK\r\n\r\nhalf")).await;
    assert!(endless.to_string().contains("where the file ends"), "{endless}");
}
