//! The authored documents, and Swagger UI over that of HTTP, offline.

use std::sync::LazyLock;

use flightdeck_api::{ASYNCAPI, OPENAPI};
use poem::http::{HeaderValue, header};
use poem::{EndpointExt, Route, endpoint::make_sync};
use poem::{IntoResponse, Response};
use poem_openapi::OpenApiService;

/// Adds `/openapi.json`, `/asyncapi.json` and `/docs`.
pub(super) fn routes(route: Route) -> Route {
    // The same for every server of this process, and large.
    static PAGE: LazyLock<String> = LazyLock::new(page);
    route
        .at("/openapi.json", make_sync(|_| answer(OPENAPI, "application/json")))
        .at("/asyncapi.json", make_sync(|_| answer(ASYNCAPI, "application/json")))
        .at("/docs", make_sync(|_| answer(PAGE.as_str(), "text/html; charset=utf-8")).map_to_response())
}

fn answer(text: &'static str, content_type: &'static str) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // The page holds its own script; nothing may be loaded, and nobody may frame it.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
             connect-src 'self'; frame-ancestors 'none'",
        ),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// poem-openapi's page carries Swagger UI and the document that poem derives; ours shows the authored one instead.
fn page() -> String {
    let service = OpenApiService::new((), "Flightdeck", "");
    // In a script, `</` would end it.
    let document = OPENAPI.replace("</", "<\\/");
    service
        .swagger_ui_html()
        .replace(&service.spec(), &document)
        .replace("<title>Swagger UI</title>", "<title>Flightdeck API</title>")
        .replace("<html charset=\"UTF-8\">", "<!doctype html>\n<html lang=\"en\">")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_the_authored_document() {
        let page = page();
        assert!(page.contains("\"openapi\": \"3.1.0\""));
        assert!(page.contains("submitEvent"));
        assert!(!page.contains("\"openapi\": \"3.0.0\""));
    }
}
