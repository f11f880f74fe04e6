//! Request extensions that a gateway in front of the router may set.

/// The part of the client's path that comes before the routes, such as `/prod`. The router does not get it in the path;
/// the `OpenAPI` document names it as its server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathPrefix(pub String);

/// The id that the gateway gave the request.
#[derive(Debug, Clone)]
pub struct GatewayRequestId(pub String);
