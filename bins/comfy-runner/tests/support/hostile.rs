//! A ComfyUI that does what it should, except where a script says otherwise.
//!
//! It takes every prompt and has it over at once, well, unless its script for that request holds another answer. It
//! speaks plain TCP, so that lengths can be wrong and answers can break off anywhere.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use actix_web::rt::net::{TcpListener, TcpStream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

/// A request of ours, as scripts tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ask {
    Submit,
    Queue,
    History,
    JobState,
    Cancel,
    Ping,
    Socket,
}

/// How a request is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// As it should be.
    Good,
    /// With this status and no JSON.
    Status(u16),
    /// With this text, of the right length.
    Text(String),
    /// With `NaN` and `Infinity` wherever Python would write them.
    NotANumber,
    /// With the id of another job.
    WrongId,
    /// Never.
    Hang,
    /// With half of what was announced, and a closed connection.
    Cut,
    /// With more than what was announced.
    Longer,
    /// With a length of a tebibyte.
    Huge,
    /// Without an end: of this text, again and again.
    Flood(&'static str),
    /// With a million brackets.
    Deep,
    /// With what is no HTTP.
    NoHttp,
}

/// Where it listens, and what it was asked. It stops when it is dropped.
pub struct Hostile {
    pub url: String,
    state: Rc<State>,
    _running: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    scripts: RefCell<HashMap<Ask, VecDeque<Answer>>>,
    /// The prompts that were taken, the first one first. It is answered for as it should be, always.
    prompts: RefCell<Vec<String>>,
    asked: RefCell<HashMap<Ask, usize>>,
    /// Whether it has `/api/jobs`.
    modern: Cell<bool>,
}

impl Hostile {
    /// A ComfyUI that answers each request by its script, and as it should when the script is over. The first prompt is
    /// answered for as it should be from the start.
    pub async fn start(modern: bool, scripts: impl IntoIterator<Item = (Ask, Vec<Answer>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Rc::new(State::default());
        state.modern.set(modern);
        for (ask, answers) in scripts {
            state.scripts.borrow_mut().insert(ask, answers.into());
        }
        let (running, stopped) = watch::channel(());
        let served = Rc::clone(&state);
        actix_web::rt::spawn(async move {
            let mut over = stopped.clone();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (socket, _) = accepted.unwrap();
                        let (state, mut over) = (Rc::clone(&served), stopped.clone());
                        actix_web::rt::spawn(async move {
                            tokio::select! {
                                // It ends when the other side has gone.
                                _ = state.serve(socket) => {}
                                _ = over.changed() => {}
                            }
                        });
                    }
                    _ = over.changed() => return,
                }
            }
        });
        Self { url, state, _running: running }
    }

    /// How often this was asked.
    pub fn asked(&self, ask: Ask) -> usize {
        self.state.asked.borrow().get(&ask).copied().unwrap_or_default()
    }

    /// The ids of the prompts that were taken, the first one first.
    pub fn prompts(&self) -> Vec<String> {
        self.state.prompts.borrow().clone()
    }

    /// Answers from now on like this, as often as it is asked.
    pub fn always(&self, ask: Ask, answer: Answer) {
        self.state.scripts.borrow_mut().insert(ask, vec![answer; 10_000].into());
    }
}

impl State {
    async fn serve(&self, mut socket: TcpStream) -> std::io::Result<()> {
        loop {
            let (head, body) = read_request(&mut socket).await?;
            let mut words = head.split(' ');
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let Some((ask, id)) = ask(method, path) else {
                let body: &[u8] =
                    if path == "/system_stats" { br#"{"system": {}, "devices": []}"# } else { b"{}" };
                respond(&mut socket, 200, body).await?;
                continue;
            };
            let answer = self.answer(ask, id);
            if ask == Ask::Socket {
                return self.open_socket(socket, &head, answer).await;
            }
            self.respond(&mut socket, ask, id, &body, answer).await?;
        }
    }

    /// The next answer of the script.
    fn answer(&self, ask: Ask, id: &str) -> Answer {
        *self.asked.borrow_mut().entry(ask).or_default() += 1;
        let prompts = self.prompts.borrow();
        let first = prompts.first().is_none_or(|first| first == id);
        if first && !matches!(ask, Ask::Queue | Ask::Ping | Ask::Socket)
            || ask == Ask::Submit && prompts.is_empty()
        {
            return Answer::Good;
        }
        self.scripts.borrow_mut().get_mut(&ask).and_then(VecDeque::pop_front).unwrap_or(Answer::Good)
    }

    async fn respond(
        &self,
        socket: &mut TcpStream,
        ask: Ask,
        id: &str,
        body: &[u8],
        answer: Answer,
    ) -> std::io::Result<()> {
        let (status, good) = self.good(ask, id, body);
        match answer {
            Answer::Good => respond(socket, status, good.to_string().as_bytes()).await,
            Answer::Status(status) => respond(socket, status, b"<html>no</html>").await,
            Answer::Text(text) => respond(socket, 200, text.as_bytes()).await,
            Answer::NotANumber => respond(socket, status, with_nan(ask, &good).as_bytes()).await,
            Answer::WrongId => {
                let another = self.prompts.borrow().first().cloned().unwrap_or_default();
                let text = good.to_string().replace(good["prompt_id"].as_str().unwrap_or(id), &another);
                respond(socket, status, text.as_bytes()).await
            }
            Answer::Hang => std::future::pending().await,
            Answer::Cut => {
                let text = good.to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
                socket.write_all(head.as_bytes()).await?;
                socket.write_all(&text.as_bytes()[..text.len() / 2]).await?;
                Err(std::io::ErrorKind::ConnectionAborted.into())
            }
            Answer::Longer => {
                socket
                    .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{good}").as_bytes())
                    .await
            }
            Answer::Huge => {
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n[[").await?;
                flood(socket, "[1, \"x\"],", false).await
            }
            Answer::Flood(text) => {
                socket.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
                flood(socket, text, true).await
            }
            Answer::Deep => {
                let deep = format!("{{\"queue_running\": {}", "[".repeat(1_000_000));
                respond(socket, 200, deep.as_bytes()).await
            }
            Answer::NoHttp => {
                socket.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await?;
                Err(std::io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    /// What ComfyUI would answer.
    fn good(&self, ask: Ask, id: &str, body: &[u8]) -> (u16, Value) {
        let mut prompts = self.prompts.borrow_mut();
        match ask {
            Ask::Submit => {
                let request: Value = serde_json::from_slice(body).unwrap();
                let id = request["prompt_id"].as_str().unwrap().to_owned();
                prompts.push(id.clone());
                (200, json!({"prompt_id": id, "number": prompts.len(), "node_errors": {}}))
            }
            Ask::Queue => (200, json!({"queue_running": [], "queue_pending": []})),
            Ask::History if prompts.iter().any(|known| known == id) => {
                let outputs =
                    json!({"1": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}});
                let status = json!({"status_str": "success", "completed": true, "messages": []});
                (200, json!({id: {"prompt": [1, id, {}, {}, []], "outputs": outputs, "status": status}}))
            }
            Ask::History => (200, json!({})),
            Ask::JobState | Ask::Cancel if !self.modern.get() => (404, json!("404: Not Found")),
            Ask::JobState if prompts.iter().any(|known| known == id) => {
                (200, json!({"id": id, "status": "completed"}))
            }
            Ask::JobState => (404, json!({"error": "Job not found"})),
            Ask::Cancel => (200, json!({"cancelled": false})),
            Ask::Ping | Ask::Socket => (200, json!({"exec_info": {"queue_remaining": 0}})),
        }
    }

    /// Opens a WebSocket and sends what is to be sent.
    async fn open_socket(&self, mut socket: TcpStream, head: &str, answer: Answer) -> std::io::Result<()> {
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
        });
        let (Some(key), false) = (key, matches!(answer, Answer::Status(_) | Answer::NoHttp)) else {
            return self.respond(&mut socket, Ask::Socket, "", &[], answer).await;
        };
        let accept = actix_http::ws::hash_key(key.as_bytes());
        let accept = std::str::from_utf8(&accept).unwrap();
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-accept: {accept}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await?;
        let last = self.prompts.borrow().last().cloned().unwrap_or_default();
        match &answer {
            Answer::Text(text) => socket.write_all(&frame(text.as_bytes())).await?,
            Answer::NotANumber => {
                let error = format!(
                    r#"{{"type": "execution_error", "data": {{"prompt_id": "{last}", "node_id": "1",
                        "current_inputs": {{"value": [NaN]}}, "executed": []}}}}"#
                );
                socket.write_all(&frame(error.as_bytes())).await?;
            }
            Answer::WrongId => {
                let end = json!({"type": "execution_success", "data": {"prompt_id": "of no job"}});
                socket.write_all(&frame(end.to_string().as_bytes())).await?;
            }
            Answer::Deep => {
                let deep = format!(r#"{{"type": "executed", "data": {}"#, "[".repeat(1_000_000));
                socket.write_all(&frame(deep.as_bytes())).await?;
            }
            Answer::Flood(text) => {
                let frames = frame(text.as_bytes());
                // Not for ever: the rest of the script is to have its turn.
                for _ in 0..100_000 {
                    socket.write_all(&frames).await?;
                }
            }
            // A frame of a tebibyte, and the beginning of it.
            Answer::Huge => {
                socket.write_all(&[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0]).await?;
                for _ in 0..256 {
                    socket.write_all(&[0; 65536]).await?;
                }
            }
            Answer::Longer => socket.write_all(&[0x81, 2, b'{', b'}', 0xff, 0xff, 0xff, 0xff]).await?,
            Answer::Cut => socket.write_all(&frame(b"{\"type\": \"status\"}")[..5]).await?,
            Answer::Good | Answer::Hang | Answer::Status(_) | Answer::NoHttp => {}
        }
        if matches!(answer, Answer::Cut) {
            return Ok(());
        }
        // What the other side sends is read, so that it is not held up.
        let mut nothing = [0; 4096];
        while socket.read(&mut nothing).await? > 0 {}
        Ok(())
    }
}

fn ask<'a>(method: &str, path: &'a str) -> Option<(Ask, &'a str)> {
    if let Some(id) = path.strip_prefix("/history/") {
        return Some((Ask::History, id));
    }
    if let Some(id) = path.strip_prefix("/api/jobs/") {
        return Some(id.strip_suffix("/cancel").map_or((Ask::JobState, id), |id| (Ask::Cancel, id)));
    }
    match (method, path.split('?').next()?) {
        ("POST", "/prompt") => Some((Ask::Submit, "")),
        ("GET", "/prompt") => Some((Ask::Ping, "")),
        ("GET", "/queue") => Some((Ask::Queue, "")),
        ("GET", "/ws") => Some((Ask::Socket, "")),
        _ => None,
    }
}

/// The answer as Python writes it with a NaN in it.
fn with_nan(ask: Ask, good: &Value) -> String {
    match ask {
        Ask::Queue => r#"{"queue_running": [[NaN, "of another", {"1": {"inputs": {"value": [NaN, -Infinity]}}}, {}, []]],
            "queue_pending": []}"#
            .to_owned(),
        // Into the entry of the prompt, whatever its id.
        Ask::History => good.to_string().replacen(":{", r#":{"nan":NaN,"infinite":-Infinity,"#, 1),
        _ => good.to_string().replacen('{', r#"{"nan":NaN,"infinite":-Infinity,"#, 1),
    }
}

async fn read_request(socket: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    socket.read_exact(&mut body).await?;
    Ok((head, body))
}

async fn respond(socket: &mut TcpStream, status: u16, body: &[u8]) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body).await
}

/// Sends a string until the connection is closed.
async fn flood(socket: &mut TcpStream, text: &str, chunked: bool) -> std::io::Result<()> {
    let text = text.repeat(65536 / text.len());
    let piece = match chunked {
        true => format!("{:x}\r\n{text}\r\n", text.len()),
        false => text,
    };
    loop {
        socket.write_all(piece.as_bytes()).await?;
    }
}

/// A WebSocket text frame.
fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81, 127];
    frame.extend((text.len() as u64).to_be_bytes());
    frame.extend(text);
    frame
}
