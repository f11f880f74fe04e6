//! Names of companies and makes of products.

pub(crate) const NAMES: [&str; 20] = [
    "SÃO JOÃO",
    "AURORA",
    "TRÊS IRMÃOS",
    "HORIZONTE",
    "ÁGUIA",
    "PLANALTO",
    "JATOBÁ",
    "IPÊ AMARELO",
    "ESTRELA",
    "ATLÂNTICA",
    "PAMPA",
    "CANÁRIO",
    "SERTÃO",
    "BOA ESPERANÇA",
    "PRIMAVERA",
    "MARÉ ALTA",
    "CONCEIÇÃO",
    "ITAPUÃ",
    "VITÓRIA-RÉGIA",
    "AÇAÍ",
];
