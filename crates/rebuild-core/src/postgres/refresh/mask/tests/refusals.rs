use super::*;

fn refused(mask: &Mask, column: &MaskedColumn<'_>) -> String {
    let refused = mask.expression(column, Names::under("UTF8"));
    let refused = refused.expect_err("it does not fit");
    assert!(refused.is_refusal(), "{refused:?}");
    refused.to_string()
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let required = MaskedColumn {
        not_null: true,
        ..column("a", "text")
    };
    assert!(refused(&Mask::Null, &required).contains("NOT NULL"));
    let short = column("a", "character varying(11)");
    assert!(refused(&Mask::Hash, &short).contains("12 characters, and 11 fit"));
    assert!(refused(&email(), &column("a", "character varying(28)")).contains("28 fit"));
    let seven = Mask::Constant("1234567".into());
    assert!(refused(&seven, &column("a", "character(6)")).contains("6 fit"));
    for type_name in [
        "numeric(10,2)",
        "json",
        "text[]",
        "name",
        "boolean",
        "public.enum",
    ] {
        let other = column("a", type_name);
        for mask in [
            Mask::Hash,
            email(),
            Mask::Name,
            Mask::Phone,
            Mask::KeepFormat,
        ] {
            assert!(refused(&mask, &other).contains("it is for "), "{mask:?}");
        }
    }
    let keep = Mask::KeepFormat.expression(&column("a", "integer"), Names::under("UTF8"));
    let advice = keep.expect_err("no text");
    assert!(advice.advice().expect("a hint").contains("hash"));
    let shift = |days| Mask::DateShift { days, by: None };
    assert!(refused(&shift(3), &column("a", "text")).contains("dates"));
    assert!(refused(&shift(0), &column("a", "date")).contains("0 days"));
    let domain = Mask::Email {
        domain: "o'brien.com".into(),
    };
    assert!(refused(&domain, &column("a", "text")).contains("no domain"));
    assert!(refused(&Mask::Sql(" \n".into()), &column("a", "text")).contains("no SQL"));
    let latin = Mask::Sql("'é'".into()).expression(&column("a", "text"), Names::under("LATIN1"));
    assert!(latin.expect_err("not ASCII").is_refusal());
}

#[test]
fn names_of_types_are_escaped_where_they_must_be() {
    let own = MaskedColumn {
        base_name: "text",
        ..column("a", "\"é\".\"a\"\"ü\"")
    };
    let cast = Mask::Null.expression(&own, Names::under("LATIN1"));
    assert_eq!(
        cast.expect("fits"),
        "null::U&\"\\+0000E9\".U&\"a\"\"\\+0000FC\""
    );
}

#[test]
fn plans_name_masks() {
    let shift = |by: Option<&str>| Mask::DateShift {
        days: 30,
        by: by.map(str::to_owned),
    };
    let masks = [
        email(),
        Mask::Constant("x".into()),
        shift(None),
        shift(Some("id")),
        Mask::Sql("secret".into()),
    ];
    let salted: Vec<bool> = masks.iter().map(Mask::uses_salt).collect();
    assert_eq!(salted, [true, false, true, true, false]);
    let words: Vec<String> = masks.iter().map(Mask::describe).collect();
    assert_eq!(
        words,
        [
            "email at example.com",
            "constant \"x\"",
            "date-shift by up to 30 days",
            "date-shift by up to 30 days for each \"id\"",
            "sql",
        ]
    );
}
