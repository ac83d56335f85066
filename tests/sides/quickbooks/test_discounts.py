from hypothesis import given
from hypothesis import strategies as st

from reconcile.model.money import ONE
from reconcile.sides.quickbooks.discounts import BooksDiscount, Discount, Parts, decode, encode

TEN_PERCENT = 10 * ONE
ONLY_TAXABLE, ONLY_NONTAXABLE, MIXED = Parts(10_000, 0), Parts(0, 10_000), Parts(10_000, 5_000)


def test_a_percentage_before_tax_is_a_percentage() -> None:
    assert decode(BooksDiscount(percent=TEN_PERCENT, tax_after=True), MIXED) == Discount(percent=TEN_PERCENT)


def test_a_percentage_is_a_percentage_when_nothing_is_taxed_whatever_the_switch_says() -> None:
    assert decode(BooksDiscount(percent=TEN_PERCENT), ONLY_NONTAXABLE) == Discount(percent=TEN_PERCENT)


def test_a_percentage_after_tax_on_taxable_lines_cannot_be_expressed() -> None:
    assert decode(BooksDiscount(percent=TEN_PERCENT), ONLY_TAXABLE) is None


def test_an_amount_without_taxable_lines_is_off_the_nontaxable_part() -> None:
    assert decode(BooksDiscount(amount=1_000), ONLY_NONTAXABLE) == Discount(nontaxable=1_000)


def test_an_amount_before_tax_on_taxable_lines_alone_is_off_the_taxable_part() -> None:
    assert decode(BooksDiscount(amount=1_000, tax_after=True), ONLY_TAXABLE) == Discount(taxable=1_000)


def test_an_amount_before_tax_on_mixed_lines_is_split_in_proportion_half_up() -> None:
    assert decode(BooksDiscount(amount=1_000, tax_after=True), MIXED) == Discount(taxable=667, nontaxable=333)


def test_an_amount_after_tax_that_the_nontaxable_lines_can_bear_is_off_them() -> None:
    assert decode(BooksDiscount(amount=5_000), MIXED) == Discount(nontaxable=5_000)


def test_an_amount_after_tax_larger_than_the_nontaxable_lines_cannot_be_expressed() -> None:
    assert decode(BooksDiscount(amount=5_001), MIXED) is None


def test_an_amount_after_tax_on_taxable_lines_alone_cannot_be_expressed() -> None:
    assert decode(BooksDiscount(amount=1), ONLY_TAXABLE) is None


def test_the_switch_means_nothing_on_an_invoice_without_tax() -> None:
    assert decode(BooksDiscount(amount=1_000), Parts(10_000, 0, taxed=False)) == Discount(taxable=1_000)


def test_a_discount_of_nothing_is_none() -> None:
    assert decode(BooksDiscount(amount=0), MIXED) == Discount()
    assert encode(Discount(0, 0, 0), MIXED) == BooksDiscount()


def test_a_surcharge_entered_as_a_discount_cannot_be_expressed() -> None:
    assert decode(BooksDiscount(amount=-100), MIXED) is None


def test_an_amount_off_part_of_the_taxable_lines_of_a_mixed_invoice_has_no_encoding() -> None:
    assert encode(Discount(taxable=1_000), MIXED) is None


def test_a_percentage_together_with_an_amount_has_no_encoding() -> None:
    assert encode(Discount(percent=TEN_PERCENT, nontaxable=100), MIXED) is None


AMOUNTS = st.integers(0, 10**9)


@given(
    st.builds(Parts, AMOUNTS, AMOUNTS, taxed=st.booleans()),
    st.one_of(
        st.builds(BooksDiscount, percent=st.integers(1, 100 * ONE), tax_after=st.booleans()),
        st.builds(BooksDiscount, amount=AMOUNTS, tax_after=st.booleans()),
    ),
)
def test_what_can_be_read_can_be_written_back_as_the_same(parts: Parts, books: BooksDiscount) -> None:
    read = decode(books, parts)
    if read is None:
        return
    written = encode(read, parts)

    assert written is not None
    assert decode(written, parts) == read


@given(
    st.builds(Parts, AMOUNTS, AMOUNTS, taxed=st.booleans()),
    st.builds(Discount, taxable=st.none() | st.integers(1, 10**6), nontaxable=st.none() | st.integers(1, 10**6)),
)
def test_an_encoding_takes_off_the_same_money_and_reads_back_as_the_same_or_there_is_none(
    parts: Parts, discount: Discount
) -> None:
    written = encode(discount, parts)

    assert written is None or decode(written, parts) == discount
    assert written is None or (written.amount or 0) == (discount.taxable or 0) + (discount.nontaxable or 0)
