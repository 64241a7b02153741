//! The description of the HTTP calls, collected from the handlers themselves, and what is the same for all of them.

use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        self, Content, RefOr, Required, ResponseBuilder, Schema,
        extensions::ExtensionsBuilder,
        path::{Operation, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Type},
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use super::{
    auth::{self, Role},
    rights::{self, Right},
};

/// The document without its paths.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "PileHub",
        description = "A realtime hub for EV charging piles. Energy is Wh, power W, money fen (0.01 yuan), prices \
            0.0001 yuan per kWh, all integers; times are RFC 3339 UTC with milliseconds. Lists answer \
            `{items, nextCursor}`. Refusals are RFC 9457 problems with a stable `code` and what to do `next`, in the \
            language of Accept-Language (zh-CN, en).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemView)),
    security(("bearer" = [])),
    modifiers(&Security),
    tags(
        (name = "orders", description = "Charges and their bills"),
        (name = "live", description = "Tickets for WebSockets and pages; the messages are in /api/asyncapi.yaml"),
        (name = "wallet", description = "A driver's money"),
        (name = "piles", description = "Chargers, where they are and what they do"),
        (name = "registry", description = "Registering stations and piles"),
        (name = "tariffs", description = "Prices"),
        (name = "adjustments", description = "After-sales refunds by two persons or by rule"),
        (name = "debts", description = "What is owed, and debts given up by two persons"),
        (name = "risk", description = "Held bills, decisions of the rules and blocked users"),
        (name = "operation", description = "Looking after the hub"),
    )
)]
pub(crate) struct Document;

/// A refusal (RFC 9457).
#[derive(Debug, ToSchema)]
#[schema(as = Problem)]
#[allow(dead_code, reason = "describes what problem::Problem writes")]
pub(crate) struct ProblemView {
    #[schema(rename = "type", example = "urn:pilehub:problem:validation")]
    kind: String,
    title: String,
    status: u16,
    /// Stable, in UPPER_SNAKE.
    #[schema(example = "VALIDATION")]
    code: String,
    /// What exactly was wrong.
    detail: String,
    /// What to do.
    next: String,
    /// Of `VALIDATION`: where.
    field: Option<String>,
    /// Of `VALIDATION`: what was there.
    value: Option<String>,
    /// Of `VALIDATION`: what should have been there.
    rule: Option<String>,
}

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("JWT".to_owned());
        bearer.description = Some("HS256, claims sub, role, exp; `pilehub token` prints one".to_owned());
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// Adds what every call has: refusals, who may make it, and the idempotency key of calls with an effect.
pub(crate) fn complete(mut document: openapi::OpenApi) -> openapi::OpenApi {
    for (path, item) in &mut document.paths.paths {
        for (operation, method, has_effect) in [
            (item.get.as_mut(), "GET", false),
            (item.post.as_mut(), "POST", true),
            (item.put.as_mut(), "PUT", true),
            (item.delete.as_mut(), "DELETE", true),
        ] {
            if let Some(operation) = operation {
                let right = rights::of(method, path.strip_prefix("/api/v1").unwrap_or(path));
                complete_one(operation, has_effect, right);
            }
        }
    }
    document
}

fn complete_one(operation: &mut Operation, has_effect: bool, right: Option<&Right>) {
    if let Some(right) = right {
        let roles: Vec<&str> = auth::roles_of(right.roles).map(Role::as_str).collect();
        let said = ExtensionsBuilder::new().add("x-roles", roles);
        let said = right.two_persons.into_iter().fold(said, |said, rule| said.add("x-two-persons", rule));
        operation.extensions.get_or_insert_default().merge(said.build());
    }
    let problem = Content::new(Some(RefOr::Ref(openapi::Ref::from_schema_name("Problem"))));
    let refusal = ResponseBuilder::new().description("Refused").content("application/problem+json", problem).build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(refusal));
    if has_effect {
        let text = Schema::Object(ObjectBuilder::new().schema_type(Type::String).build());
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("The same key and body give the first answer again; it belongs to caller and path"))
            .schema(Some(text))
            .build();
        operation.parameters.get_or_insert_default().push(RefOr::T(key));
    }
}
