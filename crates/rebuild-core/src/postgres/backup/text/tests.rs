//! What no server sends.

use proptest::prelude::*;

use super::*;

const NEW: Dialect = Dialect {
    infinite_intervals: true,
    octal_chars: true,
};

fn all() -> impl Iterator<Item = Type> {
    SCALARS
        .into_iter()
        .flat_map(|(scalar, ..)| [Type::One(scalar), Type::Array(scalar)])
}

fn written(kind: Type, value: &[u8]) -> Result<String> {
    let mut out = Vec::new();
    kind.write(value, NEW, &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn array(element: u32, dimensions: &[(i32, i32)], elements: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    value.extend(i32::try_from(dimensions.len()).expect("few").to_be_bytes());
    value.extend(0_i32.to_be_bytes());
    value.extend(element.to_be_bytes());
    for (length, first) in dimensions {
        value.extend(length.to_be_bytes());
        value.extend(first.to_be_bytes());
    }
    value.extend(elements);
    value
}

#[test]
fn each_type_is_found_by_its_name_and_knows_its_oid() {
    for (place, (scalar, oid, name)) in SCALARS.into_iter().enumerate() {
        assert_eq!(scalar as usize, place, "{name}");
        assert_eq!(scalar.oid(), oid);
        assert_eq!(Type::of(name).expect(name), Type::One(scalar));
        let array = format!("{name}[]");
        assert_eq!(Type::of(&array).expect(name), Type::Array(scalar));
    }
    for none in ["", "[]", "xml", "point", "integer[][]", "ks.mood"] {
        let error = Type::of(none).expect_err(none);
        assert_eq!(error.kind(), crate::error::ErrorKind::Corrupt);
    }
}

#[test]
fn values_of_a_wrong_length_are_damage() {
    for kind in all() {
        let free = matches!(
            kind,
            Type::One(Scalar::Bytea | Scalar::Name | Scalar::Text | Scalar::Json)
                | Type::One(Scalar::Bpchar | Scalar::Varchar)
        );
        for value in [&b""[..], &[0; 3], &[0; 33], &[0xff; 16 + 4]] {
            let result = written(kind, value);
            assert_eq!(result.is_ok(), free, "{kind:?} {value:?} {result:?}");
        }
    }
}

#[test]
fn what_no_server_sends_is_damage() {
    let one = |scalar, value: &[u8]| written(Type::One(scalar), value);
    for (scalar, value) in [
        (Scalar::Numeric, &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10][..]),
        (Scalar::Numeric, &[0, 0, 0, 0, 0x80, 0, 0, 0]),
        (Scalar::Numeric, &[0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        (Scalar::Numeric, &[0, 2, 0, 0, 0, 0, 0, 0, 0, 1]),
        (Scalar::Bit, &[0xff, 0xff, 0xff, 0xff]),
        (Scalar::Varbit, &[0, 0, 0, 9, 0xff]),
        (Scalar::Varbit, &[0, 0, 0, 8, 0xff, 0]),
        (Scalar::Jsonb, &[2, b'1']),
        (Scalar::Inet, &[9, 32, 0, 4, 1, 2, 3, 4]),
        (Scalar::Inet, &[2, 33, 0, 4, 1, 2, 3, 4]),
        (Scalar::Cidr, &[2, 32, 1, 16, 1, 2, 3, 4]),
        (Scalar::Time, &(-1_i64).to_be_bytes()),
        (Scalar::Time, &86_400_000_001_i64.to_be_bytes()),
    ] {
        one(scalar, value).expect_err("damage");
    }
    let ints = Type::Array(Scalar::Int4);
    let element = [0, 0, 0, 4, 0, 0, 0, 7];
    assert_eq!(
        written(ints, &array(23, &[(1, 1)], &element)).expect("an array"),
        "{7}"
    );
    for value in [
        array(20, &[(1, 1)], &element),
        array(23, &[(2, 1)], &element),
        array(23, &[(-1, 1)], &element),
        array(23, &[(i32::MAX, 1); 6], &element),
        array(23, &[(1, 1); 7], &element),
        array(23, &[(0, 1)], &element),
        array(23, &[(1, 1)], &[element, element].concat()),
        array(23, &[(1, 1)], &[0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0]),
        array(23, &[(1, 1)], &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
    ] {
        written(ints, &value).expect_err("damage");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(value in prop::collection::vec(any::<u8>(), 0..80)) {
        for kind in all() {
            let _ = written(kind, &value);
        }
    }

    #[test]
    fn nor_do_arrays_of_any_shape(
        dimensions in prop::collection::vec((-2..5_i32, any::<i32>()), 0..7),
        elements in prop::collection::vec(any::<u8>(), 0..80),
        short in prop::collection::vec((0..6_i32, any::<u8>()), 0..20),
    ) {
        let sound: Vec<u8> = short
            .iter()
            .flat_map(|(length, byte)| {
                let length = usize::try_from(*length).expect("short");
                let head = i32::try_from(length).expect("short").to_be_bytes();
                head.into_iter().chain(std::iter::repeat_n(*byte, length))
            })
            .collect();
        for (scalar, oid, _) in SCALARS {
            for elements in [&elements, &sound] {
                let _ = written(Type::Array(scalar), &array(oid, &dimensions, elements));
            }
        }
    }
}
