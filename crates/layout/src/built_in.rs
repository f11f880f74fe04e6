//! The layouts that are compiled into the program.

use std::sync::{Arc, LazyLock};

use crate::layout::Layout;

/// The texts of the built-in layouts.
pub(crate) const BUILT_IN: [&str; 12] = [
    include_str!("layouts/portal-invoice.toml"),
    include_str!("layouts/portal-line.toml"),
    include_str!("layouts/portal-event.toml"),
    include_str!("layouts/mg-invoice.toml"),
    include_str!("layouts/mg-line.toml"),
    include_str!("layouts/sp-nfse.toml"),
    include_str!("layouts/sped.toml"),
    include_str!("layouts/english.toml"),
    include_str!("layouts/nfe.toml"),
    include_str!("layouts/nfse-national.toml"),
    include_str!("layouts/portal-api.toml"),
    include_str!("layouts/erp-json.toml"),
];

/// Returns the layouts that are compiled into the program.
#[must_use]
pub fn built_in() -> &'static [Arc<Layout>] {
    static LAYOUTS: LazyLock<Vec<Arc<Layout>>> = LazyLock::new(|| BUILT_IN.map(parsed).to_vec());
    &LAYOUTS
}

#[expect(clippy::expect_used, reason = "a test parses every built-in layout")]
fn parsed(text: &str) -> Arc<Layout> {
    Arc::new(Layout::parse(text).expect("a built-in layout is valid"))
}

/// Returns the built-in layout with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<Arc<Layout>> {
    built_in().iter().find(|layout| layout.name() == name).cloned()
}
