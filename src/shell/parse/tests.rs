use super::*;

fn words(line: &str) -> Vec<Vec<Piece>> {
    let line = parse(line.as_bytes()).unwrap();
    line.pipelines[0].1.stages[0].words.iter().map(|word| word.pieces.clone()).collect()
}

fn literal(text: &str) -> Vec<Piece> {
    if text.is_empty() { vec![Piece::Literal(Vec::new())] } else { vec![Piece::Literal(text.into())] }
}

#[test]
fn quotes_make_words() {
    for (line, expected) in [
        ("a b", &["a", "b"][..]),
        ("'a b' \"c d\"", &["a b", "c d"]),
        ("a\\ b", &["a b"]),
        ("\"a\\\"b\\n\"", &["a\"b\\n"]),
        ("$'a\\x41\\n\\'\\u00e9'", &["aA\n'é"]),
        ("a'b'\"c\"$'d'", &["abcd"]),
        ("a # b", &["a"]),
        ("a#b", &["a#b"]),
        ("a=b $", &["a=b", "$"]),
        ("a ''", &["a", ""]),
        ("[a", &["[a"]),
        ("{a,b}", &["{a,b}"]),
        ("a~b", &["a~b"]),
    ] {
        assert_eq!(words(line), expected.iter().map(|w| literal(w)).collect::<Vec<_>>(), "{line}");
    }
    let line = parse(b"$'\\xff'").unwrap();
    assert_eq!(line.pipelines[0].1.stages[0].words[0].pieces, [Piece::Literal(vec![0xff])]);
}

#[test]
fn variables_and_globs_are_pieces() {
    assert_eq!(
        words("$A\"${B}\"$?*?[a-c!][!x]"),
        [[
            Piece::Variable(b"A".to_vec()),
            Piece::Variable(b"B".to_vec()),
            Piece::Status,
            Piece::AnyText,
            Piece::AnyByte,
            Piece::Class(vec![(b'a', b'c'), (b'!', b'!')], false),
            Piece::Class(vec![(b'x', b'x')], true),
        ]]
    );
    assert_eq!(words("'*' \\*"), [literal("*"), literal("*")]);
}

#[test]
fn lists_pipes_and_redirections() {
    let line = parse(b"a | b 2>&1 > f && c >> g || d < h 2> i; e 2>> j 1>k;").unwrap();
    let joints: Vec<_> = line.pipelines.iter().map(|p| p.0).collect();
    assert_eq!(joints, [Joint::Always, Joint::And, Joint::Or, Joint::Always]);
    assert_eq!(line.pipelines[0].1.stages.len(), 2);
    let shape = |redirect: &Redirect| match redirect {
        Redirect::Stdin(_) => "<",
        Redirect::Stdout(_, false) => ">",
        Redirect::Stdout(_, true) => ">>",
        Redirect::Stderr(_, false) => "2>",
        Redirect::Stderr(_, true) => "2>>",
        Redirect::StderrToStdout => "2>&1",
    };
    let shapes: Vec<_> = line
        .pipelines
        .iter()
        .flat_map(|p| p.1.stages.iter().flat_map(|s| s.redirects.iter().map(shape)))
        .collect();
    assert_eq!(shapes, ["2>&1", ">", ">>", "<", "2>", "2>>", ">"]);
    for empty in ["", "  ", "# x"] {
        assert_eq!(parse(empty.as_bytes()), Ok(Line::default()));
    }
}

#[test]
fn what_is_not_taken_names_its_column() {
    for (line, column, part) in [
        ("ls &", 4, "background"),
        ("echo é $(x)", 8, "$("),
        ("ls `x`", 4, "`"),
        ("ls ~/x", 4, "~"),
        ("ls a*(b)", 5, "*("),
        ("ls @(b)", 4, "@("),
        ("ls 'x", 4, "not closed"),
        ("ls \"x", 4, "not closed"),
        ("ls $'x", 4, "not closed"),
        ("ls |", 5, "missing after |"),
        ("| ls", 1, "missing before |"),
        ("ls && ", 7, "missing at the end"),
        ("ls ; ; ls", 6, "missing before ;"),
        ("ls >", 4, "file is missing"),
        ("ls << x", 4, "< FILE"),
        ("ls >&2", 4, "only >"),
        ("(ls)", 1, "( )"),
        ("> f", 1, "needs a command"),
        ("ls ${x:-y}", 4, "${NAME}"),
        ("ls $1", 4, "$1"),
        ("ls $'\\q'", 6, "\\q"),
        ("ls $'\\x00'", 4, "NUL"),
        ("ls \\", 4, "backslash"),
    ] {
        let error = parse(line.as_bytes()).expect_err(line);
        assert_eq!(error.column, column, "{line}: {error}");
        assert!(error.message.contains(part), "{line}: {error}");
    }
}

#[test]
fn names_that_are_shown_quoted_are_read_back() {
    for name in
        [&b"a b"[..], b"it's", b"a\nb\xff", b"$x", b"*", b"~", b"", b"a'b\"c", "é漢".as_bytes(), b"-n"]
    {
        let shown = crate::out::name::shell_quoted(name);
        let line = parse(shown.as_bytes()).unwrap();
        let pieces = &line.pipelines[0].1.stages[0].words[0].pieces;
        assert_eq!(pieces, &[Piece::Literal(name.to_vec())], "{shown}");
    }
}

#[test]
fn no_bytes_make_it_panic_and_long_lines_are_quick() {
    let mut state = 1u64;
    let alphabet = b"a $'\"\\*?[]{}|&;<>()#`~2=x\xff\n";
    for _ in 0..20_000 {
        let mut line = Vec::new();
        for _ in 0..(state % 30) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            line.push(alphabet[(state >> 33) as usize % alphabet.len()]);
        }
        state = state.wrapping_add(7);
        let _ = parse(&line);
    }
    let long = "x ".repeat(50_000);
    assert_eq!(words(&long).len(), 50_000);
}
