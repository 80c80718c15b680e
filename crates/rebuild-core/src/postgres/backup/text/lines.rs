//! Rows as lines of text.

/// How rows are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres::backup) enum Layout {
    /// COPY's text form: <https://www.postgresql.org/docs/current/sql-copy.html>.
    Copy,
    /// COPY's CSV.
    Csv,
}

/// Lines that grow field by field, exactly as COPY writes them.
pub(in crate::postgres::backup) struct Lines {
    layout: Layout,
    columns: usize,
    field: usize,
    out: Vec<u8>,
}

impl Lines {
    /// Of rows with that many columns.
    pub(in crate::postgres::backup) fn new(layout: Layout, columns: usize) -> Self {
        Self {
            layout,
            columns,
            field: 0,
            out: Vec::new(),
        }
    }

    /// How they are laid out.
    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// Adds NULL.
    pub(super) fn null(&mut self) {
        self.delimit();
        if self.layout == Layout::Copy {
            self.out.extend_from_slice(b"\\N");
        }
    }

    /// Adds a value.
    pub(in crate::postgres::backup) fn value(&mut self, text: &[u8]) {
        self.delimit();
        match self.layout {
            Layout::Copy => self.escaped(text),
            Layout::Csv => self.quoted(text),
        }
    }

    /// Ends the row.
    pub(in crate::postgres::backup) fn end(&mut self) {
        self.field = 0;
        self.out.push(b'\n');
    }

    /// Adds whole lines that are laid out already.
    pub(super) fn as_they_are(&mut self, lines: &[u8]) {
        self.out.extend_from_slice(lines);
    }

    /// Hands on what has been added since the last time.
    pub(in crate::postgres::backup) fn take(
        &mut self,
        to: &mut impl std::io::Write,
    ) -> std::io::Result<()> {
        to.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn delimit(&mut self) {
        if self.field > 0 {
            self.out.push(match self.layout {
                Layout::Copy => b'\t',
                Layout::Csv => b',',
            });
        }
        self.field += 1;
    }

    fn escaped(&mut self, text: &[u8]) {
        for byte in text {
            let letter = match byte {
                0x08 => b'b',
                0x0c => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x0b => b'v',
                b'\\' => b'\\',
                plain => {
                    self.out.push(*plain);
                    continue;
                }
            };
            self.out.extend_from_slice(&[b'\\', letter]);
        }
    }

    /// Without quotes nothing is NULL, and older servers take `\.` alone on its line for the end.
    fn quoted(&mut self, text: &[u8]) {
        let special = |byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
        let end = self.columns == 1 && text == b"\\.";
        if !text.is_empty() && !end && !text.iter().any(special) {
            self.out.extend_from_slice(text);
            return;
        }
        self.out.push(b'"');
        for byte in text {
            if *byte == b'"' {
                self.out.push(b'"');
            }
            self.out.push(*byte);
        }
        self.out.push(b'"');
    }
}
