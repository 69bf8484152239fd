//! The contract as documents: OpenAPI 3.1 from the handlers' own types, with a browser for it and nothing fetched from elsewhere, and the events
//! as `AsyncAPI` 3 from theirs.

use axum::Router;
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;

const ABOUT: &str = "Table inventory sessions, fills and credits, drops, soft counts, exceptions, rundown. \
    Money is in whole cents, instants are UTC. Casino and role come from the staff row of the token's subject, never from the request. \
    Every POST takes Idempotency-Key; those that create facts require it. Errors are application/problem+json.";

/// What stands before the routes.
pub fn preamble() -> OpenApi {
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("rundown")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(ABOUT))
                .build(),
        )
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("token", SecurityScheme::Http(token))
                .build(),
        ))
        .security(Some([SecurityRequirement::new("token", Vec::<String>::new())]))
        .build()
}

/// The whole document.
pub fn openapi() -> OpenApi {
    super::routes().split_for_parts().1
}

pub fn router(document: OpenApi) -> Router<App> {
    let events = axum::Json(workflows::event::async_api(env!("CARGO_PKG_VERSION")));
    Router::from(SwaggerUi::new("/docs").url("/openapi.json", document)).route("/asyncapi.json", get(|| async { events }))
}
