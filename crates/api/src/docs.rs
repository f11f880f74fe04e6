//! `/docs`: the description of the API for people. A single page without scripts that loads nothing else.

use std::fmt::Write as _;

use axum::Extension;
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::response::Response;
use serde_json::Value;

use super::extensions::PathPrefix;
use super::openapi;
use super::parameters::Parameters;
use super::problem::{self, Problem};
use super::response;

/// The page may use its own style and load nothing.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("docs.css");

/// `GET /docs`.
pub(super) async fn page(prefix: Option<Extension<PathPrefix>>, uri: Uri) -> Result<Response, Problem> {
    Parameters::of(&uri).finish()?;
    let prefix = prefix.map(|Extension(prefix)| prefix).unwrap_or_default();
    let mut response = response::single("text/html; charset=utf-8", render(&prefix).into_bytes());
    response.headers_mut().insert(HeaderName::from_static("content-security-policy"), HeaderValue::from_static(POLICY));
    Ok(response)
}

/// Makes the page from the `OpenAPI` document.
fn render(prefix: &PathPrefix) -> String {
    let document = openapi::description(prefix);
    let mut page = Page(String::with_capacity(64 * 1024));
    page.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">");
    page.raw("<title>notaflux API</title><style>");
    page.raw(STYLE);
    page.raw("</style></head><body><header><h1>notaflux API</h1>");
    page.raw("<p>For tools: <a href=\"openapi.json\">openapi.json</a> (OpenAPI 3.1). If the API requires a key, send it in the header \
        <code>x-api-key</code>. In the examples, <code>$API</code> is the address of this page without <code>/docs</code>.</p></header>");
    let routes: Vec<(&String, &Value)> = members(&document, "/paths").collect();
    page.contents(&routes);
    page.raw("<main>");
    page.prose(text(&document, "/info/description"));
    page.headers(&document);
    page.problems();
    for (path, route) in &routes {
        page.route(&document, path, part(route, "/get"));
    }
    page.schemas(&document);
    page.raw("</main></body></html>\n");
    page.0
}

/// Returns the text at a JSON pointer; empty if there is none.
fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the value at a JSON pointer; null if there is none.
fn part<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// Returns the members of the object at a JSON pointer; none if there is no object.
fn members<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = (&'v String, &'v Value)> + use<'v> {
    part(value, pointer).as_object().into_iter().flatten()
}

/// Writes the HTML of the page.
struct Page(String);

impl Page {
    fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.raw("&amp;"),
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '"' => self.raw("&quot;"),
                other => self.0.push(other),
            }
        }
    }

    /// Writes paragraphs and headings. Text between backticks becomes code.
    fn prose(&mut self, text: &str) {
        for paragraph in text.split("\n\n") {
            match paragraph.strip_prefix("## ") {
                Some(heading) => self.element("h2", heading),
                None => self.element("p", paragraph),
            }
        }
    }

    fn element(&mut self, name: &str, text: &str) {
        for part in ["<", name, ">"] {
            self.raw(part);
        }
        self.inline(text);
        for part in ["</", name, ">"] {
            self.raw(part);
        }
    }

    fn contents(&mut self, routes: &[(&String, &Value)]) {
        self.raw("<nav><ul>");
        for (path, route) in routes {
            self.raw("<li><a href=\"#");
            self.escaped(text(route, "/get/operationId"));
            self.raw("\"><code>");
            self.escaped(path);
            self.raw("</code></a> ");
            self.escaped(text(route, "/get/summary"));
            self.raw("</li>");
        }
        self.raw("</ul></nav>");
    }

    fn headers(&mut self, document: &Value) {
        self.raw("<h2>Headers of answers</h2><table><tbody>");
        for (name, header) in members(document, "/components/headers") {
            self.row(&[&format!("`{name}`"), text(header, "/description")]);
        }
        self.raw("</tbody></table>");
    }

    fn problems(&mut self) {
        self.raw("<h2>Errors</h2>");
        self.prose(
            "An error is `application/problem+json` (RFC 9457). `detail` says what you can do, and `request_id` is the id of the \
            request. `errors` lists all wrong parameters at once.",
        );
        self.raw("<table><thead><tr><th>Type</th><th>Status</th><th>Meaning</th></tr></thead><tbody>");
        for (name, status, title) in problem::explained() {
            self.row(&[&format!("`/problems/{name}`"), &status.to_string(), title]);
        }
        self.raw("</tbody></table>");
    }

    fn row(&mut self, cells: &[&str]) {
        self.raw("<tr>");
        for cell in cells {
            self.element("td", cell);
        }
        self.raw("</tr>");
    }

    fn inline(&mut self, text: &str) {
        for (number, part) in text.split('`').enumerate() {
            let is_code = number % 2 == 1;
            self.raw(if is_code { "<code>" } else { "" });
            self.escaped(part);
            self.raw(if is_code { "</code>" } else { "" });
        }
    }

    fn route(&mut self, document: &Value, path: &str, operation: &Value) {
        self.raw("<section id=\"");
        self.escaped(text(operation, "/operationId"));
        self.raw("\"><h2>");
        self.escaped(text(operation, "/summary"));
        self.raw("</h2><p class=\"path\"><code>GET ");
        self.escaped(path);
        self.raw("</code></p>");
        self.prose(text(operation, "/description"));
        self.parameters(operation);
        self.example(path, operation);
        self.answers(document, operation);
        self.raw("</section>");
    }

    fn parameters(&mut self, operation: &Value) {
        let parameters = part(operation, "/parameters").as_array().map(Vec::as_slice).unwrap_or_default();
        if parameters.is_empty() {
            return;
        }
        self.raw("<table><thead><tr><th>Parameter</th><th>Meaning</th><th>Values</th></tr></thead><tbody>");
        for parameter in parameters {
            let name = format!("`{}`", text(parameter, "/name"));
            self.row(&[&name, text(parameter, "/description"), &values(parameter)]);
        }
        self.raw("</tbody></table>");
    }

    /// Writes the request of the example as a command, and its answer.
    #[expect(clippy::expect_used, reason = "a JSON value is always JSON")]
    fn example(&mut self, path: &str, operation: &Value) {
        let example = part(operation, "/responses/200/content/application~1json/example");
        if example.is_null() {
            return;
        }
        self.raw("<pre class=\"ask\">curl &quot;$API");
        self.escaped(&openapi::examples::request_of(path));
        self.raw("&quot;</pre><pre>");
        self.escaped(&serde_json::to_string_pretty(example).expect("an example is JSON"));
        self.raw("</pre>");
    }

    fn answers(&mut self, document: &Value, operation: &Value) {
        self.raw("<p class=\"answers\">");
        for (status, answer) in members(operation, "/responses") {
            if status == "200" {
                let formats: Vec<&str> = members(answer, "/content").map(|(format, _)| format.as_str()).collect();
                let headers: Vec<&str> = members(answer, "/headers").map(|(name, _)| name.as_str()).collect();
                self.inline(&format!("Formats: `{}`. Headers: `{}`.", formats.join("`, `"), headers.join("`, `")));
            } else {
                self.raw("<br>");
                self.inline(&format!("`{status}` {}", text(answer, "/description")));
            }
        }
        self.raw("</p>");
        let schema = text(operation, "/responses/200/content/application~1json/schema/$ref");
        let name = schema.rsplit('/').next().unwrap_or_default();
        if members(document, "/components/schemas").any(|(each, _)| each == name) {
            let link = write!(self.0, "<p>Fields: <a href=\"#{name}\">{name}</a>.</p>");
            debug_assert!(link.is_ok(), "writing to a String does not fail");
        }
    }

    fn schemas(&mut self, document: &Value) {
        for (name, schema) in members(document, "/components/schemas") {
            self.raw("<section id=\"");
            self.escaped(name);
            self.raw("\"><h3>");
            self.escaped(name);
            self.raw("</h3>");
            self.prose(text(schema, "/description"));
            if schema.get("properties").is_some() {
                self.raw("<table><tbody>");
                for (name, member) in members(schema, "/properties") {
                    let is_required = part(schema, "/required")
                        .as_array()
                        .is_some_and(|names| names.contains(&Value::from(name.as_str())));
                    self.member(name, member, is_required);
                }
                self.raw("</tbody></table>");
            } else {
                self.inline(&kind(schema));
            }
            self.raw("</section>");
        }
    }

    fn member(&mut self, name: &str, member: &Value, is_required: bool) {
        self.raw("<tr><td><code>");
        self.escaped(name);
        self.raw("</code>");
        self.raw(if is_required { "" } else { " <small>may be absent</small>" });
        self.raw("</td><td>");
        self.inline(text(member, "/description"));
        self.raw("</td><td>");
        let target = text(member, "/$ref").rsplit('/').next().unwrap_or_default();
        let items = text(member, "/items/$ref").rsplit('/').next().unwrap_or_default();
        for (before, name) in [("", target), ("list of ", items)] {
            if !name.is_empty() {
                let link = write!(self.0, "{before}<a href=\"#{name}\">{name}</a>");
                debug_assert!(link.is_ok(), "writing to a String does not fail");
            }
        }
        if target.is_empty() && items.is_empty() {
            self.inline(&kind(member));
        }
        self.raw("</td></tr>");
    }
}

/// Describes the values of a schema in a few words.
fn kind(schema: &Value) -> String {
    if let Some(words) = part(schema, "/enum").as_array() {
        let words: Vec<String> = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    match (text(schema, "/type"), part(schema, "/minimum"), part(schema, "/maximum")) {
        ("integer", least, Value::Number(most)) => format!("{least} to {most}"),
        ("integer", ..) => "whole number".to_owned(),
        ("string", ..) => "text".to_owned(),
        ("array", ..) => "list".to_owned(),
        (kind, ..) => kind.to_owned(),
    }
}

/// Describes the values of a parameter: its type, the default and an example.
fn values(parameter: &Value) -> String {
    let mut values = kind(part(parameter, "/schema"));
    for (before, value) in
        [("; default ", part(parameter, "/schema/default")), (", such as ", part(parameter, "/example"))]
    {
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        if value != "null" {
            values.extend([before, "`", &value, "`"]);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the values of all attributes with this name.
    fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
        let before = format!(" {name}=\"");
        page.split(&before).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
    }

    #[test]
    fn every_link_leads_to_a_place_on_the_page_or_to_the_document() {
        let page = render(&PathPrefix::default());
        let (links, places) = (attributes(&page, "href"), attributes(&page, "id"));
        assert!(links.len() > openapi::paths::ROUTES.len());
        for link in links {
            let is_place = link.strip_prefix('#').is_some_and(|place| places.contains(&place));
            assert!(is_place || link == "openapi.json", "{link}");
        }
    }

    #[test]
    fn the_page_loads_nothing() {
        let page = render(&PathPrefix("/prod".to_owned()));
        for foreign in ["<script", "<link", "<img", " src=", "http:", "https:", "url(", "@import", "javascript:"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn elements_are_closed_in_the_right_order() {
        let page = render(&PathPrefix::default());
        let mut open = Vec::new();
        for tag in page.split('<').skip(1) {
            let name: String = tag.chars().take_while(|character| !" >".contains(*character)).collect();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
                None if ["!doctype", "meta", "br"].contains(&name.as_str()) => {}
                None => open.push(name),
            }
        }
        assert_eq!(open, [""; 0]);
    }

    #[test]
    fn text_is_never_markup() {
        let mut page = Page(String::new());
        page.prose("## a `<b>`\n\n\"c\" & <script>");
        assert_eq!(page.0, "<h2>a <code>&lt;b&gt;</code></h2><p>&quot;c&quot; &amp; &lt;script&gt;</p>");
    }
}
