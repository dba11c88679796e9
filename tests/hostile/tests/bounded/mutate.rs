//! Inputs made of other inputs. Every run makes the same ones.

/// Makes one input after the other.
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    state: u64,
}

/// Words at which a parser is most likely to stumble.
const TOKENS: [&[u8]; 12] = [
    b"0xffffffffffffffff",
    b"18446744073709551615",
    b"-1",
    b"/../",
    b"..",
    b"\n",
    b"=",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"EIO",
    b" ",
    b"\"",
];

impl Mutator {
    pub fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self { seeds, state: 0x7573_7475_6479 }
    }

    /// Returns the next input: a seed after a few changes.
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..=self.below(6) {
            self.change(&mut input);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.range(input);
        let new = match self.below(6) {
            // A piece goes, comes twice, or comes from another seed.
            0 => Vec::new(),
            1 => [&input[from..to], &input[from..to]].concat(),
            2 => {
                let other = self.seed();
                let (from, to) = self.range(&other);
                other[from..to].to_vec()
            }
            3 => TOKENS[self.below(TOKENS.len())].to_vec(),
            4 => input[from..to]
                .iter()
                .map(|byte| byte ^ (1 << (self.state % 8)))
                .collect(),
            _ => (from..to).map(|_| self.below(256) as u8).collect(),
        };
        input.splice(from..to, new);
    }

    fn seed(&mut self) -> Vec<u8> {
        let which = self.below(self.seeds.len());
        self.seeds[which].clone()
    }

    /// Returns the range of a piece of `input`: a word, a few bytes, or now and then a
    /// large part.
    fn range(&mut self, input: &[u8]) -> (usize, usize) {
        let from = self.below(input.len() + 1);
        let most = match self.below(4) {
            0 => input.len(),
            1 => 8,
            _ => return word(input, from),
        };
        (from, (from + self.below(most + 1)).min(input.len()))
    }

    /// Returns a random number below a bound. The generator is xorshift64.
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % bound as u64) as usize
    }
}

/// Returns the range of the word around a place.
fn word(input: &[u8], at: usize) -> (usize, usize) {
    let ends = |byte: &u8| b" =\n\"/:,".contains(byte);
    let from = input[..at].iter().rposition(ends).map_or(0, |before| before + 1);
    let len = input[at..].iter().position(ends);
    (from, len.map_or(input.len(), |len| at + len))
}
