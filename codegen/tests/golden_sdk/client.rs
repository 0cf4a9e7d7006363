//! A client that sends nothing: it shows what would be sent, and answers with what it was told to.

use std::collections::VecDeque;
use std::fmt;
use std::future::{IntoFuture, Ready, ready};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde_json::Value;

use crate::runtime::{Answer, DecodeError, Operation, ToParameter};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug)]
pub enum Error {
    Protocol(&'static str),
    Decode(DecodeError),
}

impl Error {
    pub fn protocol(reason: &'static str) -> Self {
        Self::Protocol(reason)
    }
}

/// What a call would send.
#[derive(Debug, Clone)]
pub struct Sent {
    pub operation: &'static Operation,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Option<Value>,
}

#[derive(Debug, Clone, Default)]
pub struct Client {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    pub sent: Arc<Mutex<Vec<Sent>>>,
}

impl Client {
    pub fn answering(answers: &[(u16, &str)]) -> Self {
        let client = Self::default();
        let answers = answers.iter().map(|(status, body)| (*status, (*body).to_owned()));
        client.answers.lock().expect("no test panics while it holds this").extend(answers);
        client
    }

    pub fn call<T>(&self, operation: &'static Operation, path: impl AsRef<str>) -> Call<T> {
        let sent =
            Sent { operation, path: path.as_ref().to_owned(), query: Vec::new(), headers: Vec::new(), body: None };
        Call { client: self.clone(), sent, answer: PhantomData }
    }
}

pub struct Call<T> {
    client: Client,
    pub sent: Sent,
    answer: PhantomData<T>,
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sent.fmt(formatter)
    }
}

impl<T> Call<T> {
    pub fn query(self, name: &str, value: &(impl ToParameter + ?Sized)) -> Self {
        self.query_option(name, &[value])
    }

    pub fn query_option<Values: ?Sized>(mut self, name: &str, values: &Values) -> Self
    where
        for<'a> &'a Values: IntoIterator<Item: ToParameter>,
    {
        let pairs = values.into_iter().map(|value| (name.to_owned(), value.to_parameter()));
        self.sent.query.extend(pairs);
        self
    }

    pub fn header(self, name: &str, value: &(impl ToParameter + ?Sized)) -> Self {
        self.header_option(name, Some(value))
    }

    pub fn header_option(mut self, name: &str, value: Option<&(impl ToParameter + ?Sized)>) -> Self {
        let pair = value.map(|value| (name.to_owned(), value.to_parameter()));
        self.sent.headers.extend(pair);
        self
    }

    pub fn json(mut self, body: &(impl Serialize + ?Sized)) -> Self {
        self.sent.body = Some(serde_json::to_value(body).expect("it serialises"));
        self
    }
}

impl<T: Answer> IntoFuture for Call<T> {
    type Output = Result<T>;
    type IntoFuture = Ready<Result<T>>;

    fn into_future(self) -> Self::IntoFuture {
        self.client.sent.lock().expect("no test panics while it holds this").push(self.sent);
        let mut answers = self.client.answers.lock().expect("no test panics while it holds this");
        let (status, body) = answers.pop_front().expect("the test gives an answer for every call");
        ready(T::decode(status, body.as_bytes()).map_err(Error::Decode))
    }
}
