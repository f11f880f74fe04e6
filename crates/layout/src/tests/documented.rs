//! Checks the examples of docs/layouts.md and the layouts in docs/layouts/.

use super::*;

const PAGE: &str = include_str!("../../../../docs/layouts.md");

/// Returns the code blocks of [`PAGE`] in `language`.
fn blocks(language: &str) -> Vec<&'static str> {
    // Text and code blocks alternate.
    let parts = PAGE.split("```").skip(1).step_by(2);
    let of_language = parts.filter_map(|block| block.split_once('\n')).filter(|(named, _)| *named == language);
    of_language.map(|(_, text)| text).collect()
}

fn own(text: &str) -> Arc<Layout> {
    Arc::new(Layout::parse(text).unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error))))
}

/// Completes a fragment of a layout with the missing parts of a minimal layout.
fn completed(fragment: &str) -> String {
    let (head, tables) = match fragment.find('[').filter(|at| fragment[..*at].ends_with('\n') || *at == 0) {
        Some(_) if !fragment.contains("requires") => ("", fragment),
        _ => (fragment, ""),
    };
    let mut text = if head.is_empty() {
        "name = \"shop\"\ntitle = \"Shop\"\nrequires = [\"Nota\"]\n".to_owned()
    } else {
        format!("{head}\n")
    };
    text.push_str(tables);
    if !fragment.contains("[id") {
        text.push_str("\n[id]\naccess_key = \"Chave\"\n");
    }
    if !["[invoice]", "[line]", "[event]"].iter().any(|table| fragment.contains(table)) {
        text.push_str("\n[invoice]\nissued_at = \"Emitida em\"\n");
    }
    text
}

#[test]
fn every_block_of_the_page_can_be_read() {
    let blocks = blocks("toml");
    assert!(blocks.len() >= 10, "{}", blocks.len());
    for block in blocks {
        let text = completed(block);
        if let Err(error) = Layout::parse(&text) {
            panic!("{error}: {:?}\n{text}", std::error::Error::source(&error));
        }
    }
}

#[test]
fn every_word_of_the_vocabulary_is_on_the_page() {
    for word in Reason::ALL.map(Reason::as_str) {
        assert!(PAGE.contains(&format!("`{word}`")), "{word}");
    }
    let decimals = DecimalConvention::ALL.map(DecimalConvention::as_str);
    for word in decimals.into_iter().chain(DateConvention::ALL.map(DateConvention::as_str)) {
        assert!(PAGE.contains(&format!("`{word}`")), "{word}");
    }
}

#[test]
fn the_shortest_layout_reads_its_file() {
    let rows = blocks("")[0];
    let (_, outcomes) = read(rows.as_bytes(), b';', &[own(blocks("toml")[0])]);
    assert_eq!(column(&outcomes, "/total"), ["1234.56", "80.00"]);
    assert_eq!(column(&outcomes, "/issued_at"), ["2024-12-31T00:00:00", "2025-01-02T00:00:00"]);
}

#[test]
fn xero() {
    let rows = *blocks("").last().unwrap();
    for layout in [own(blocks("toml").last().unwrap()), own(include_str!("../../../../docs/layouts/xero.toml"))] {
        let (mapping, outcomes) = read(rows.as_bytes(), b',', &[Arc::clone(&layout)]);
        assert_eq!(mapping.layout().yields(), Yields::InvoiceLine);
        let ids = column(&outcomes, "/invoice/id");
        assert!(ids[0] == ids[1] && ids[0].len() == 32);
        assert_eq!(column(&outcomes, "/invoice/number"), ["INV-0041"; 2]);
        assert_eq!(column(&outcomes, "/invoice/issued_at"), ["2024-02-28T00:00:00"; 2]);
        assert_eq!(column(&outcomes, "/invoice/currency"), ["GBP"; 2]);
        assert_eq!(column(&outcomes, "/invoice/recipient/name"), ["Basket Case"; 2]);
        assert_eq!(column(&outcomes, "/line/description"), ["Fish, and how to", "Postage"]);
        assert_eq!(column(&outcomes, "/line/unit_price"), ["19.95", "4.50"]);
        assert_eq!(column(&outcomes, "/line/code"), ["BOOK", "absent"]);
    }
}

#[test]
fn quickbooks() {
    let rows = "*InvoiceNo,*Customer,*InvoiceDate,*DueDate,Terms,Item(Product/Service),ItemDescription,ItemQuantity,ItemRate,*ItemAmount\n\
                1001,Aurora Inc.,12/31/2024,01/30/2025,Net 30,Consulting,Winter,2,600,\"1,200.00\"\n\
                1001,Aurora Inc.,12/31/2024,01/30/2025,Net 30,Travel,,1,80.5,80.5\n";
    let (mapping, outcomes) =
        read(rows.as_bytes(), b',', &[own(include_str!("../../../../docs/layouts/quickbooks.toml"))]);
    assert_eq!(mapping.layout().name(), "quickbooks");
    assert_eq!(column(&outcomes, "/invoice/issued_at"), ["2024-12-31T00:00:00"; 2]);
    assert_eq!(column(&outcomes, "/invoice/extra/due_at"), ["01/30/2025"; 2]);
    assert_eq!(column(&outcomes, "/line/total"), ["1200.00", "80.5"]);
    assert_eq!(column(&outcomes, "/line/description"), ["Winter", "absent"]);
    assert_eq!(column(&outcomes, "/invoice/currency"), ["USD"; 2]);
}

#[test]
fn uci() {
    let rows = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
                536365,85123A,WHITE HOLDER,6,12/1/2010 8:26,2.55,17850.0,United Kingdom\n\
                C536379,D,Discount,-1,12/1/2010 9:41,27.5,14527,United Kingdom\n\
                536414,22139,,56,12/1/2010 11:52,0,,United Kingdom\n\
                536415,22139,X,56,13/1/2010 11:52,0,,United Kingdom\n";
    let (mapping, outcomes) = read(rows.as_bytes(), b',', &[own(include_str!("../../../../docs/layouts/uci.toml"))]);
    assert_eq!(mapping.layout().name(), "uci-retail");
    assert_eq!(outcomes[3].as_ref().unwrap_err().reason, Reason::InvalidDate);
    let outcomes = &outcomes[..3];
    assert_eq!(column(outcomes, "/invoice/status"), ["authorized", "cancelled", "authorized"]);
    assert_eq!(column(outcomes, "/invoice/issued_at")[0], "2010-12-01T08:26:00");
    assert_eq!(column(outcomes, "/invoice/recipient/tax_id"), ["17850", "14527", "absent"]);
    assert_eq!(column(outcomes, "/line/quantity"), ["6", "-1", "56"]);
    assert_eq!(column(outcomes, "/line/number"), ["absent"; 3]);
    assert_eq!(column(outcomes, "/invoice/extra/country")[0], "United Kingdom");
}
