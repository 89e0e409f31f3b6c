//! Bodies for the errors that actix answers by itself, before there is a request.

use comfy_runner_api::ErrorBody;

/// Returns the response that replaces actix's response to a malformed head, which has no body, or `None` for any other
/// response.
pub fn with_detail(answer: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(answer.strip_suffix(b"\r\n\r\n")?).ok()?;
    let (status_line, headers) = head.split_once("\r\n")?;
    let headers = headers.split("\r\n").filter(|header| !is_length(header));
    let detail = match status_line.strip_prefix("HTTP/1.1 ")?.split(' ').next()? {
        "400" => {
            "the request is not HTTP/1.1 that can be read; check the address, and that it begins with http://"
        }
        "408" => "the head of the request did not arrive in time",
        "431" => {
            "the head of the request is too large; send fewer or shorter headers, and long values in the body"
        }
        _ => return None,
    };
    let body = serde_json::to_string(&ErrorBody::new(detail)).ok()?;
    let headers: String = headers.map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    Some(
        format!(
            "{status_line}\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes(),
    )
}

fn is_length(header: &str) -> bool {
    header.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case("content-length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_body_gets_one_and_keeps_its_headers() {
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let answer = String::from_utf8(with_detail(answer).unwrap()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n"), "{head}");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        assert!(serde_json::from_str::<ErrorBody>(body).unwrap().detail.contains("HTTP/1.1"));
    }

    #[test]
    fn every_other_answer_stays_as_it_is() {
        for other in
            [&b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..], b"HTTP/1.1 400 Bad", b"\xff\r\n\r\n", b""]
        {
            assert_eq!(with_detail(other), None);
        }
    }
}
