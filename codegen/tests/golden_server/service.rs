//! A server that answers with what it was given, and the way to ask it.

use std::sync::Arc;

use poem::http::{Method, StatusCode};
use poem::{Endpoint, EndpointExt, IntoEndpoint, Request};
use poem_openapi::OpenApiService;
use serde_json::Value;

use crate::generated::errors::ErrorCode;
use crate::generated::things::{CreateThingSuccess, ListPartsParameters, ThingsApi, ThingsEndpoints};
use crate::generated::r#type::{TypeApi, TypeEndpoints};
use crate::generated::types::{
    Circle, Color, Empty, Keywords, Nothing, PartPage, Scalars, Secrets, Shape, States, Tree,
};
use crate::support::{ApiError, Context, ContextParts, api_error};

/// Answers with what it is given.
pub struct Echo;

impl ThingsApi for Echo {
    async fn create_thing(&self, context: &Context, body: Scalars) -> Result<CreateThingSuccess, ApiError> {
        match body.text.as_str() {
            "new" => Ok(CreateThingSuccess::Created(Keywords {
                r#type: "t".to_owned(),
                self_: "s".to_owned(),
                crate_: "c".to_owned(),
                agent_id: context.request_id().to_owned(),
                class: "k".to_owned(),
                r#fn: None,
                r#async: Some(true),
                problems: None,
                here: None,
                value: None,
                at: None,
            })),
            "none" => Ok(CreateThingSuccess::NoContent),
            "declared" => Err(ApiError::new(ErrorCode::Unknown).message("No.")),
            "undeclared" => Err(ApiError::new(ErrorCode::RouteNotFound).message("secret")),
            _ => Ok(CreateThingSuccess::Ok(body)),
        }
    }

    async fn replace_tree(&self, _: &Context, body: Tree) -> Result<Tree, ApiError> {
        Ok(body)
    }

    async fn remove_thing(&self, _: &Context, _: String) -> Result<(), ApiError> {
        Ok(())
    }

    async fn change_states(&self, _: &Context, _: String, body: States) -> Result<States, ApiError> {
        Ok(body)
    }

    async fn list_parts(
        &self,
        _: &Context,
        thing_id: uuid::Uuid,
        r#type: Color,
        self_: i32,
        parameters: ListPartsParameters,
    ) -> Result<PartPage, ApiError> {
        // The answer's only text tells what arrived.
        let cursor = format!("{thing_id} {type} {self_} {parameters:?}");
        Ok(PartPage { items: Vec::new(), next_cursor: cursor.into() })
    }

    async fn list_shapes(&self, _: &Context) -> Result<Vec<Shape>, ApiError> {
        Ok(vec![Shape::Circle(Circle { radius: 1.5 }), Shape::Unknown(Nothing {})])
    }

    async fn submit_shape(&self, _: &Context, body: Shape) -> Result<Shape, ApiError> {
        Ok(body)
    }

    async fn check_secrets(&self, _: &Context, body: Secrets) -> Result<Secrets, ApiError> {
        Ok(body)
    }

    async fn get_text(&self, context: &Context) -> Result<String, ApiError> {
        Ok(format!("for {}", context.request_id()))
    }
}

impl TypeApi for Echo {
    async fn move_it(&self, _: &Context) -> Result<Empty, ApiError> {
        Ok(Empty {})
    }
}

type Endpoints = (ThingsEndpoints<Echo>, TypeEndpoints<Echo>);

pub fn service() -> OpenApiService<Endpoints, ()> {
    let api = Arc::new(Echo);
    OpenApiService::new((ThingsEndpoints::new(Arc::clone(&api)), TypeEndpoints::new(api)), "Golden", "1")
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub content_type: Option<String>,
    pub text: String,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The paths of a refusal's details.
    pub fn problems(&self) -> Vec<String> {
        assert_eq!(self.status, 400, "{}", self.text);
        let body = self.json();
        assert_eq!(body["code"], "invalid_request", "{body}");
        let details = body["details"].as_array().cloned().unwrap_or_default();
        details.iter().map(|detail| detail["path"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

pub async fn send(method: Method, uri: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answered {
    let mut request = Request::builder().method(method.clone()).uri(uri.parse().expect("it is a URI"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if body.is_some() {
        request = request.content_type("application/json");
    }
    let body = body.unwrap_or_default().to_owned();
    let mut request = request.body(body.clone());
    let context = Context::new(ContextParts {
        request_id: "req-1".to_owned(),
        peer: None,
        forwarded: false,
        method,
        path: request.uri().path().to_owned(),
        headers: request.headers().clone(),
        body: body.into(),
    });
    request.extensions_mut().insert(context.clone());
    // As the server's middleware does it.
    let response = match service().into_endpoint().call(request).await {
        Ok(response) => response,
        Err(error) => match api_error(error) {
            Ok(error) => error.into_answer(Some(&context)),
            Err(answer) => answer.into_response(),
        },
    };
    let status = response.status().as_u16();
    let content_type = response.content_type().map(str::to_owned);
    let text = response.into_body().into_string().await.expect("the body is text");
    Answered { status, content_type, text }
}

pub async fn post(path: &str, body: &Value) -> Answered {
    send(Method::POST, path, &[], Some(&body.to_string())).await
}
