"""The words of documents, by what they are for. Every one is there in every language: a test holds that."""

from collections.abc import Mapping

from billing.documents.writing import Language

_WORDS: Mapping[str, tuple[str, str]] = {
    # Titles and labels
    "payment_notice": ("缴费通知单", "Payment notice"),
    "statement": ("账户对账单", "Account statement"),
    "account": ("账户", "Account"),
    "customer": ("客户", "Customer"),
    "as_of": ("计算时间", "As of"),
    "period": ("账期", "Period"),
    "balance": ("账户余额", "Balance"),
    "cash": ("其中现金", "of which cash"),
    "gift": ("其中赠款", "of which gift credit"),
    "held": ("预占金额", "Set aside"),
    "credit_limit": ("信用额度", "Credit limit"),
    "spendable": ("可用金额", "Can be spent"),
    "threshold": ("出账门槛", "Threshold"),
    "asked": ("未缴账单", "Open bills"),
    "on_its_way": ("支付途中", "On its way"),
    "to_pay": ("应缴金额", "To pay"),
    "due": ("缴费期限", "Due"),
    "opening": ("期初余额", "Opening balance"),
    "closing": ("期末余额", "Closing balance"),
    "entries_count": ("笔数", "Entries"),
    "time": ("时间", "Time"),
    "what": ("内容", "What"),
    "reference": ("编号", "Reference"),
    "amount": ("金额", "Amount"),
    "sum": ("合计", "Sum"),
    "balance_after": ("余额", "Balance"),
    "kind": ("类别", "Kind"),
    "sections": ("分类汇总", "Sums by kind"),
    "movements": ("明细", "Movements"),
    "from_to": ("{start} 至 {end}", "{start} to {end}"),
    # Sections of a notice
    "charged": ("已计费用", "Charged"),
    "subscription": ("下期订购", "Next cycles of subscriptions"),
    "refund": ("退回余额", "Given back"),
    "recharge": ("已存入", "Paid in"),
    "bill": ("未结清的账单", "Open documents"),
    "pending": ("支付途中", "Payments on their way"),
    # Notes
    "cut_entries": (
        "仅列出前 {shown} 笔明细,共 {count} 笔;其余明细请分页查询。",
        "The first {shown} of {count} entries are listed; the others are in the statement by pages.",
    ),
    "cut": ("较早的明细未列出。", "Older lines were left out."),
    "nothing_to_pay": ("目前无需缴费。", "There is nothing to pay at present."),
    "computed": ("本通知单按当前业务状态即时计算。", "Worked out from the business as it stands."),
    "late": ("补记", "entered late"),
    "late_note": (
        "“补记”指该笔发生日结账之后才入账的明细。",
        "“Entered late” marks what came after its own day had been closed.",
    ),
    "still_open": ("账期尚未结账,内容可能变动。", "The period is not closed yet: entries may still be added."),
    "counted_by_bill": ("已在账单金额中扣减", "the bill already asks for so much less"),
    "of_gift": ("其中赠款 {amount}", "of which gift credit {amount}"),
    "tax": ("含税 {amount}", "contains tax of {amount}"),
    "quantity": ("数量 {number}", "quantity {number}"),
    "number": ("账单号 {number}", "No. {number}"),
    # Lines of a reckoning
    "line_list": ("原价", "list price"),
    "line_proration": ("按日折算,{days}/{of_days} 日", "prorated, {days} of {of_days} days"),
    "line_tier_discount": ("等级优惠 {text}", "tier discount {text}"),
    "line_coupon": ("优惠券 {text}", "coupon {text}"),
    "line_points": ("积分抵扣", "points"),
    "line_rounding": ("尾差", "rounding"),
    "line": ("{what}:{amount}", "{what}: {amount}"),
    # What moved a balance, by the ledger's kinds and the categories of charges
    "topic_charge": ("消费", "Charge"),
    "topic_rated": ("消费", "Charge"),
    "topic_order": ("订购", "Order"),
    "topic_recurring": ("周期费用", "Recurring charge"),
    "topic_usage": ("使用费", "Usage"),
    "topic_reservation": ("预占扣款", "Session"),
    "topic_recharge": ("充值", "Recharge"),
    "topic_bill_payment": ("缴付账单", "Payment of a bill"),
    "topic_adjustment": ("调账", "Correction"),
    "topic_gift": ("赠款", "Gift credit"),
    "topic_gift_revocation": ("收回赠款", "Gift credit withdrawn"),
    "topic_credit_limit": ("信用额度调整", "Credit limit"),
    "topic_recharge_reversal": ("充值冲正", "Recharge taken back"),
    "topic_chargeback": ("银行拒付", "Charge-back"),
    "topic_payment_refund_hold": ("退款预占", "Set aside for a refund"),
    "topic_payment_refund": ("退款给付款人", "Refund to the payer"),
    "topic_payment_refund_release": ("退款取消", "Refund given up"),
    "topic_charge_refund": ("费用退回", "Refund into the balance"),
    "topic_reservation_commit": ("预占扣款", "Session"),
    "topic_reservation_release": ("预占释放", "Reservation given up"),
    "topic_migration": ("专项余额转入", "Earmarked balance brought in"),
    "topic_migration_undo": ("专项余额转回", "Earmarked balance taken back"),
    "topic_due_over": ("周期费用不再到期", "Cycle no longer due"),
    "topic_lot_expiry": ("赠款到期", "Gift credit expired"),
    "topic_hold_expiry": ("预占到期", "Reservation expired"),
    # Documents, subscriptions and payments
    "topic_original": ("账单", "Bill"),
    "topic_supplement": ("补充账单", "Supplement"),
    "topic_credit_note": ("贷记通知", "Credit note"),
    "topic_active": ("续订", "Renewal"),
    "topic_past_due": ("续订(余额不足,待扣款)", "Renewal (past due)"),
    "topic_resting": ("续订(停机保留)", "Renewal (resting)"),
    "topic_requested": ("支付(已提交)", "Payment (requested)"),
    "topic_pending": ("支付(处理中)", "Payment (pending)"),
}
_PLACES = {Language.CHINESE: 0, Language.ENGLISH: 1}


class Words:
    """The words of one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._place = _PLACES[language]

    def __call__(self, key: str, **parts: object) -> str:
        """The words for a key, with their parts put in."""
        words = _WORDS[key][self._place]
        return words.format(**parts) if parts else words

    def topic(self, topic: str) -> str:
        """The words for a kind; the kind itself where it is not known, so that a new one is shown all the same."""
        key = f"topic_{topic}"
        return self(key) if key in _WORDS else topic


def every_word() -> Mapping[str, tuple[str, str]]:
    """All words by their keys, in Chinese and in English."""
    return _WORDS
