//! What messages cost, in dollars.

use serde::Serialize;

/// The carrier fee and Telnyx's rate for one part, in hundred-thousandths of a dollar.
const SMS_PRICES: (u32, u32) = (305, 205);
const MMS_PRICES: (u32, u32) = (1_000, 1_500);

/// An amount of dollars, as an exact decimal string.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Money {
    amount: String,
    currency: &'static str,
    #[serde(skip)]
    hundred_thousandths: u32,
}

impl Money {
    fn new(hundred_thousandths: u32) -> Self {
        let whole = hundred_thousandths / 100_000;
        let fraction = hundred_thousandths % 100_000;
        let exact = format!("{whole}.{fraction:05}");
        let amount = exact.trim_end_matches('0').trim_end_matches('.').to_owned();
        Self { amount, currency: "USD", hundred_thousandths }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct CostBreakdown {
    carrier_fee: Money,
    rate: Money,
}

impl CostBreakdown {
    pub(super) fn new(is_mms: bool, parts: u32) -> Self {
        let (carrier_fee, rate) = if is_mms { MMS_PRICES } else { SMS_PRICES };
        Self { carrier_fee: Money::new(carrier_fee * parts), rate: Money::new(rate * parts) }
    }

    pub(super) fn total(&self) -> Money {
        Money::new(self.carrier_fee.hundred_thousandths + self.rate.hundred_thousandths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_an_exact_decimal() {
        for (hundred_thousandths, amount) in
            [(510, "0.0051"), (5_100, "0.051"), (305, "0.00305"), (100_000, "1"), (0, "0")]
        {
            assert_eq!(Money::new(hundred_thousandths).amount, amount);
        }
        assert_eq!(CostBreakdown::new(false, 2).total().amount, "0.0102");
    }
}
