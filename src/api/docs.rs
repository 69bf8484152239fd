//! The contract as a document: OpenAPI 3.1 from the handlers' own types, and a browser for it with nothing fetched from elsewhere.

use axum::Router;
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
    SwaggerUi::new("/docs").url("/openapi.json", document).into()
}
