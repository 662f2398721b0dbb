use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SMALL: Limits = Limits { element: 64, string: 8, field: 16 };

fn split(mut splitter: Splitter, input: &[u8], piece: usize) -> (Vec<Element>, Result<(), Broken>) {
    let mut elements = Vec::new();
    for piece in input.chunks(piece.max(1)) {
        splitter.feed(piece, &mut elements);
    }
    let end = splitter.finish(&mut elements);
    (elements, end)
}

fn texts(elements: &[Element]) -> Vec<(u64, String)> {
    elements.iter().map(|e| (e.line, String::from_utf8_lossy(&e.bytes).into_owned())).collect()
}

const HEAD: &str = r#""kind":"EventList","apiVersion":"audit.k8s.io/v1""#;

#[test]
fn lists_are_judged_and_their_complete_items_kept() {
    let head = HEAD;
    for (case, input, items, end) in [
        ("empty", format!("{{{head},\"items\":[]}}"), 0, Ok(())),
        ("null", format!("{{{head},\"items\":null}}"), 0, Ok(())),
        ("absent", format!("{{{head}}}"), 0, Ok(())),
        ("two", format!("{{{head},\"metadata\":{{}},\"items\":[{{}}, {{\"a\":\"]}}\"}}]}}\n"), 2, Ok(())),
        ("head after items", format!("{{\"items\":[1,\"x\",null],{head}}}"), 3, Ok(())),
        ("byte order mark", format!("\u{feff}{{{head},\"items\":[{{}}]}}"), 1, Ok(())),
        ("escaped key", format!("{{{head},\"\\u0069tems\":[{{}}]}}"), 1, Ok(())),
        ("items twice", format!("{{{head},\"items\":[{{}}],\"items\":[{{}}]}}"), 2, Ok(())),
        ("truncated in an item", format!("{{{head},\"items\":[{{}},{{\"a\":"), 1, Err(Broken::Truncated)),
        ("truncated after the list", format!("{{{head},\"items\":[{{}}]"), 1, Err(Broken::Truncated)),
        ("comma at the end", format!("{{{head},\"items\":[{{}},]}}"), 1, Err(Broken::Syntax { line: 1 })),
        ("no comma", format!("{{{head},\"items\":[{{}}\n{{}}]}}"), 1, Err(Broken::Syntax { line: 2 })),
        ("trailing", format!("{{{head},\"items\":[{{}}]}}\n\n{{}}"), 1, Err(Broken::Trailing { line: 3 })),
        ("wrong kind first", "{\"kind\":\"Event\",\"items\":[{}]}".into(), 0, Err(Broken::Kind)),
        ("wrong kind last", "{\"items\":[{}],\"kind\":\"List\"}".into(), 1, Err(Broken::Kind)),
        ("no kind", "{\"apiVersion\":\"audit.k8s.io/v1\",\"items\":[{}]}".into(), 1, Err(Broken::Kind)),
        ("old version", "{\"apiVersion\":\"audit.k8s.io/v1beta1\",\"items\":[{}]}".into(), 0, Err(Broken::ApiVersion)),
        ("kind is no string", "{\"kind\":7,\"items\":[{}]}".into(), 0, Err(Broken::Kind)),
        ("items is an object", format!("{{{head},\"items\":{{}}}}"), 0, Err(Broken::Items)),
        ("a list", "[]".into(), 0, Err(Broken::NotAnObject { line: 1 })),
        ("nothing", "\n".into(), 0, Err(Broken::NotAnObject { line: 2 })),
        ("an array of kinds", format!("{{{head},\"items\":[{{}}],,}}"), 1, Err(Broken::Syntax { line: 1 })),
    ] {
        for piece in [1, 3, 4096] {
            let (elements, outcome) = split(Splitter::event_list(), input.as_bytes(), piece);
            assert_eq!((elements.len(), outcome), (items, end), "{case} in pieces of {piece}");
        }
    }
}

#[test]
fn log_files_go_on_after_a_broken_line() {
    let pretty = "{\n \"kind\": \"EventList\",\n \"items\": [\n  {\n   \"a\": 1\n  },\n  {}\n ]\n}\n";
    for (case, input, expected) in [
        ("lines", "{\"a\":1}\n\n{\"b\":2}".to_owned(), vec![(1, "{\"a\":1}"), (3, "{\"b\":2}")]),
        ("one line", "{}{\"a\":\"{\"}".to_owned(), vec![(1, "{}"), (1, "{\"a\":\"{\"}")]),
        ("pretty list", pretty.to_owned(), vec![(4, "{\n   \"a\": 1\n  }"), (7, "{}")]),
        ("list of one item a line", "{\"items\":[\n{},\n{}\n]}\n{}".to_owned(), vec![(2, "{}"), (3, "{}"), (5, "{}")]),
        ("empty list", format!("{{{HEAD},\"items\":null}}\n{{}}"), vec![(2, "{}")]),
        ("kind last", "{\"items\":[{}],\"kind\":\"EventList\"}".to_owned(), vec![(1, "{}")]),
        ("garbage", "what\n{}\n".to_owned(), vec![(1, "what"), (2, "{}")]),
        ("cut in a string", "{\"a\":\"b\n{}\n".to_owned(), vec![(1, "{\"a\":\"b\n"), (2, "{}")]),
        ("cut in a key", "{\"a\n{}\n".to_owned(), vec![(1, "{\"a\n"), (2, "{}")]),
        ("cut in an object", "{\"a\":{\n{}\n".to_owned(), vec![(1, "{\"a\":{\n"), (2, "{}")]),
        ("cut in a list", "{\"items\":[{},{\"a\":[\n{}\n".to_owned(), vec![(1, "{}"), (1, "{\"a\":[\n"), (2, "{}")]),
        ("cut at the end", "{}\n{\"a\":".to_owned(), vec![(1, "{}"), (2, "{\"a\":")]),
        (
            "garbage in a list",
            "{\"items\":[{} what {}]}\n{}".to_owned(),
            vec![(1, "{}"), (1, "what {}]}"), (2, "{}")],
        ),
    ] {
        for piece in [1, 3, 4096] {
            let (elements, outcome) = split(Splitter::lines(), input.as_bytes(), piece);
            let expected: Vec<_> = expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
            assert_eq!((texts(&elements), outcome), (expected, Ok(())), "{case} in pieces of {piece}");
        }
    }
}

#[test]
fn depth_has_no_limit_and_size_has() {
    let deep = format!("{{\"requestObject\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let large = format!("{{\"auditID\":\"x\",\"requestObject\":\"{}\",\"verb\":\"get\"}}", "y".repeat(3 << 20));
    let input = format!("{{{HEAD},\"items\":[{deep},{large},{{}}]}}");
    let (elements, end) = split(Splitter::event_list(), input.as_bytes(), 10_000);
    assert_eq!(end, Ok(()));
    let forms: Vec<_> = elements.iter().map(|e| (e.form, e.length)).collect();
    let expected = [(Form::Whole, deep.len() as u64), (Form::Slimmed, large.len() as u64), (Form::Whole, 2)];
    assert_eq!(forms, expected);
    assert_eq!(texts(&elements)[1].1, r#"{"auditID":"x","requestObject":null,"verb":"get"}"#);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\\]\\[{}\",:\\\\ü😀]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof!["[a-c]", "requestObject|responseObject|items|kind", any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}

fn without_bulk(item: &Value) -> Value {
    let mut item = item.clone();
    for body in ["requestObject", "responseObject"] {
        if let Some(value) = item.get_mut(body) {
            *value = Value::Null;
        }
    }
    item
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_cut_of_a_list_gives_the_items_that_serde_gives(
        items in prop::collection::vec(any_json(), 0..6), piece in 1usize..40, pretty: bool,
    ) {
        let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items, "z": items});
        let text = if pretty { serde_json::to_string_pretty(&list) } else { serde_json::to_string(&list) }.unwrap();
        let (elements, end) = split(Splitter::event_list(), text.as_bytes(), piece);
        prop_assert_eq!(end, Ok(()));
        let parsed: Vec<Value> = elements.iter().map(|e| serde_json::from_slice(&e.bytes).unwrap()).collect();
        prop_assert_eq!(&parsed, &items);
    }

    #[test]
    fn any_cut_of_a_log_gives_its_lines(
        objects in prop::collection::vec(prop::collection::btree_map("[a-z]{0,3}", any_json(), 0..4), 0..6),
        piece in 1usize..40,
    ) {
        let text: String = objects.iter().map(|o| serde_json::to_string(o).unwrap() + "\n").collect();
        let (elements, _) = split(Splitter::lines(), text.as_bytes(), piece);
        let expected: Vec<_> = (1..).zip(text.lines().map(str::to_owned)).collect();
        prop_assert_eq!(texts(&elements), expected);
    }

    #[test]
    fn whole_lines_give_what_their_bytes_give_one_by_one(
        text in "(\\{(\"a\":(1|\\{\\}|\\[1,2\\]|\"[a\\\\n]\")[,}]{0,2}|[{}\\[\\]\",:a1 \\\\]{0,8})\\}?\r?\n?){0,6}",
    ) {
        let of = |piece| split(Splitter::lines(), text.as_bytes(), piece).0;
        prop_assert_eq!(of(4096), of(1));
    }

    #[test]
    fn slimmed_items_stay_json_and_keep_their_short_fields(
        mut item in prop::collection::btree_map("[a-z]{1,3}", any_json(), 1..5), piece in 1usize..40,
    ) {
        item.insert("requestObject".into(), Value::from("z".repeat(80)));
        let item = serde_json::to_value(item).unwrap();
        let text = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [item]}).to_string();
        let limits = Limits { element: 80, string: 1 << 10, field: 1 << 10 };
        let (elements, end) = split(Splitter::with_limits(Mode::EventList, limits), text.as_bytes(), piece);
        prop_assert_eq!(end, Ok(()));
        match elements[0].form {
            Form::Whole => prop_assert!(false, "it is over the limit"),
            Form::Slimmed => {
                let parsed: Value = serde_json::from_slice(&elements[0].bytes).unwrap();
                prop_assert_eq!(parsed, without_bulk(&item));
            }
            Form::Digest => prop_assert!(without_bulk(&item).to_string().len() > 80),
        }
        let (elements, _) = split(Splitter::with_limits(Mode::EventList, SMALL), text.as_bytes(), piece);
        if elements[0].form == Form::Slimmed {
            prop_assert!(serde_json::from_slice::<Value>(&elements[0].bytes).is_ok());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_cuts_change_nothing(
        input in prop::collection::vec(prop_oneof![
            4 => prop::sample::select(b"{}[]\",:\\ \nu0n".to_vec()), 1 => any::<u8>()], 0..200),
        piece in 1usize..40,
    ) {
        for mode in [Mode::EventList, Mode::Lines] {
            let whole = split(Splitter::with_limits(mode, SMALL), &input, input.len());
            let cut = split(Splitter::with_limits(mode, SMALL), &input, piece);
            prop_assert_eq!(&whole, &cut);
            if mode == Mode::Lines {
                // Nothing vanishes: what is left out is white space, the frame of lists, or empty.
                let kept: u64 = cut.0.iter().map(|element| element.length).sum();
                prop_assert!(kept <= input.len() as u64);
            }
        }
    }
}
