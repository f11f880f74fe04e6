//! Turns arguments into a path and parameters of the API. The values pass unchanged, and the API validates them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::columns::{self, Column};
use notaflux_api::parameters;

/// Arguments that select invoices.
#[derive(Debug, Default, clap::Args)]
pub(super) struct InvoiceArgs {
    /// Tax id of the issuer: CNPJ, CPF, masked CPF or another id as stored; with or without punctuation
    #[arg(long, value_name = "TAX_ID")]
    issuer: Option<String>,
    /// Tax id of the recipient
    #[arg(long, value_name = "TAX_ID")]
    recipient: Option<String>,
    /// Month of issue, like 2024-05
    #[arg(long, value_name = "YYYY-MM")]
    month: Option<String>,
    /// authorized, cancelled, denied or unknown; authorized also needs --issuer, --recipient or --month
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Issued at this local time or later: 2024-05-01 or 2024-05-01T10:00:00
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Issued at this local time or earlier: 2024-05-31 (the whole day) or 2024-05-31T10:00:00
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Order by time of issue: asc (oldest first) or desc [default: asc]
    #[arg(long, value_name = "ORDER")]
    order: Option<String>,
    /// Fiscal model, like 55
    #[arg(long, value_name = "TEXT")]
    model: Option<String>,
    /// Series, exactly as shown
    #[arg(long, value_name = "TEXT")]
    series: Option<String>,
    /// Number, exactly as shown
    #[arg(long, value_name = "TEXT")]
    number: Option<String>,
    /// Minimum total, like 1234.56, in the invoice's currency; invoices without a total never match
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    min_total: Option<String>,
    /// Maximum total, like 1234.56
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    max_total: Option<String>,
    /// State of the issuer: two letters
    #[arg(long, value_name = "UF")]
    issuer_uf: Option<String>,
    /// State of the recipient: two letters
    #[arg(long, value_name = "UF")]
    recipient_uf: Option<String>,
}

/// Arguments that select ingestions.
#[derive(Debug, Default, clap::Args)]
pub(super) struct IngestionArgs {
    /// Month in which they started, in UTC, like 2026-11 [default: the last 24 months]
    #[arg(long, value_name = "YYYY-MM")]
    month: Option<String>,
    /// surveying, writing, completed, failed, superseded or cancelled
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Invoices,
    Lines,
    Events,
    Ingestions,
    Rejects,
}

impl Resource {
    /// Returns the columns of its list.
    pub(super) const fn columns(self) -> &'static [Column] {
        match self {
            Self::Invoices => columns::INVOICES,
            Self::Lines => columns::LINES,
            Self::Events => columns::EVENTS,
            Self::Ingestions => columns::INGESTIONS,
            Self::Rejects => columns::REJECTS,
        }
    }

    /// Returns the path of the collection that has the id.
    const fn collection(self) -> &'static str {
        match self {
            Self::Invoices | Self::Lines | Self::Events => "/v1/invoices",
            Self::Ingestions | Self::Rejects => "/v1/ingestions",
        }
    }

    /// Returns the path below the id.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Invoices | Self::Ingestions => "",
            Self::Lines => "/lines",
            Self::Events => "/events",
            Self::Rejects => "/rejects",
        }
    }

    /// Returns the command that lists the ids.
    pub(super) const fn lister(self) -> &'static str {
        match self {
            Self::Invoices | Self::Lines | Self::Events => "notaflux query invoices",
            Self::Ingestions | Self::Rejects => "notaflux query ingestions",
        }
    }
}

/// A path of the API with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) resource: Resource,
    path: String,
    parameters: Vec<(&'static str, String)>,
}

impl Request {
    fn to(resource: Resource, path: String) -> Self {
        Self { resource, path, parameters: Vec::new() }
    }

    /// Requests a list of invoices.
    pub(super) fn invoices(args: &InvoiceArgs) -> Self {
        let given = [
            ("issuer", &args.issuer),
            ("recipient", &args.recipient),
            ("month", &args.month),
            ("status", &args.status),
            ("from", &args.from),
            ("to", &args.to),
            ("order", &args.order),
            ("model", &args.model),
            ("series", &args.series),
            ("number", &args.number),
            ("min_total", &args.min_total),
            ("max_total", &args.max_total),
            ("issuer_uf", &args.issuer_uf),
            ("recipient_uf", &args.recipient_uf),
        ];
        Self::list(Resource::Invoices, given)
    }

    /// Requests a list of ingestions.
    pub(super) fn ingestions(args: &IngestionArgs) -> Self {
        Self::list(Resource::Ingestions, [("month", &args.month), ("state", &args.state)])
    }

    fn list<'a>(resource: Resource, given: impl IntoIterator<Item = (&'static str, &'a Option<String>)>) -> Self {
        let request = Self::to(resource, resource.collection().to_owned());
        given.into_iter().fold(request, |request, (name, value)| request.with(name, value.as_deref()))
    }

    /// Requests a single resource, or a list below it.
    pub(super) fn of_id(resource: Resource, id: &str) -> Self {
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
        Self::to(resource, format!("{}/{id}{}", resource.collection(), resource.suffix()))
    }

    /// Sets a parameter, if there is a value.
    pub(super) fn with(mut self, name: &'static str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.parameters.retain(|(each, _)| *each != name);
            self.parameters.push((name, value.to_owned()));
        }
        self
    }

    /// Returns the value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(each, _)| *each == name).map(|(_, value)| value.as_str())
    }

    /// Returns the path with the query.
    pub(super) fn uri(&self) -> String {
        let given = self.parameters.iter().map(|(name, value)| (*name, value.as_str()));
        format!("{}{}", self.path, parameters::query_string(given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_parameters_of_the_same_name() {
        let given = |text: &str| Some(text.to_owned());
        let args = InvoiceArgs {
            issuer: given("33.000.167/0001-01"),
            recipient: given("***.982.247-**"),
            month: given("2024-05"),
            status: given("denied"),
            from: given("a"),
            to: given("b"),
            order: given("desc"),
            model: given("55"),
            series: given("1"),
            number: given("7"),
            min_total: given("-1.50"),
            max_total: given("é&="),
            issuer_uf: given("SP"),
            recipient_uf: given("RJ"),
        };
        assert_eq!(
            Request::invoices(&args).with("limit", Some("5")).with("cursor", None).uri(),
            "/v1/invoices?issuer=33.000.167%2F0001-01&recipient=%2A%2A%2A.982.247-%2A%2A&month=2024-05&status=denied\
             &from=a&to=b&order=desc&model=55&series=1&number=7&min_total=-1.50&max_total=%C3%A9%26%3D&issuer_uf=SP\
             &recipient_uf=RJ&limit=5"
        );
        assert_eq!(Request::ingestions(&IngestionArgs::default()).uri(), "/v1/ingestions");
    }

    #[test]
    fn an_id_is_one_segment_of_the_path() {
        let paths = [
            (Resource::Invoices, "/v1/invoices/a%2F%3Fb"),
            (Resource::Lines, "/v1/invoices/a%2F%3Fb/lines"),
            (Resource::Events, "/v1/invoices/a%2F%3Fb/events"),
            (Resource::Ingestions, "/v1/ingestions/a%2F%3Fb"),
            (Resource::Rejects, "/v1/ingestions/a%2F%3Fb/rejects"),
        ];
        for (resource, path) in paths {
            assert_eq!(Request::of_id(resource, "a/?b").uri(), path);
        }
    }

    #[test]
    fn the_next_page_has_another_cursor() {
        let request = Request::of_id(Resource::Lines, "a").with("limit", Some("2")).with("cursor", Some("x"));
        let next = request.with("cursor", Some("y"));
        assert_eq!(
            (next.uri().as_str(), next.parameter("cursor")),
            ("/v1/invoices/a/lines?limit=2&cursor=y", Some("y"))
        );
    }
}
