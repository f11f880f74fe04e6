//! The layouts that are compiled in.

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

/// The layouts that are compiled in.
#[must_use]
pub fn built_in() -> &'static [Arc<Layout>] {
    // That none is left out here is a test's business: a layout that cannot be read fails it.
    static LAYOUTS: LazyLock<Vec<Arc<Layout>>> =
        LazyLock::new(|| BUILT_IN.iter().filter_map(|text| Layout::parse(text).ok()).map(Arc::new).collect());
    &LAYOUTS
}

/// The built-in layout of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<Arc<Layout>> {
    built_in().iter().find(|layout| layout.name() == name).cloned()
}
