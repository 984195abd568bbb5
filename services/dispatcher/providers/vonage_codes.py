"""What Vonage's numbers mean, as data: the status in an answer, and the err-code of a delivery receipt.

Sources: developer.vonage.com, "Troubleshooting failed SMS" and "Delivery receipts", as gathered in November 2026.
What is ours to mend (`SENDER`) waits: else one wrong setting would use up every message in the queue. A number that is
barred is on Vonage's own block list, where STOP puts it and START takes it off.
"""

from types import MappingProxyType

from services.dispatcher.domain.faults import Fault

STATUSES = MappingProxyType(
    {
        1: Fault.BUSY,  # throttled
        5: Fault.PASSING,  # internal error: refused, to be tried again
        6: Fault.DEAD,  # no network has such a number
        7: Fault.STOPPED,  # number barred
        33: Fault.DEAD,  # number deactivated
        12: Fault.CONTENT,  # too long
        2: Fault.SENDER,  # a parameter is missing
        3: Fault.SENDER,  # a parameter is invalid: the number was looked at before
        4: Fault.SENDER,  # credentials
        8: Fault.SENDER,  # account barred
        9: Fault.SENDER,  # no credit
        10: Fault.BUSY,  # too many connections
        11: Fault.SENDER,  # account not enabled for HTTP
        14: Fault.SENDER,  # signature
        15: Fault.SENDER,  # sender's address
        22: Fault.SENDER,  # network code
        23: Fault.SENDER,  # the call-back's URL
        29: Fault.SENDER,  # a trial account writes to listed numbers only
        32: Fault.SENDER,  # signature and secret together
    }
)

RECEIPTS = MappingProxyType(
    {
        1: Fault.SOFT,  # unknown
        2: Fault.SOFT,  # absent for a while
        3: Fault.DEAD,  # absent for good
        4: Fault.STOPPED,  # the recipient bars such messages
        5: Fault.SOFT,  # the number is moving to another carrier
        6: Fault.CONTENT,  # taken for spam
        7: Fault.SOFT,  # handset busy
        8: Fault.SOFT,  # network error
        9: Fault.DEAD,  # no such number
        10: Fault.CONTENT,  # invalid message
        11: Fault.SENDER,  # no route
        12: Fault.SOFT,  # destination unreachable
        13: Fault.PERMANENT,  # the subscriber's age
        14: Fault.PERMANENT,  # blocked by the carrier
        15: Fault.SOFT,  # a prepaid recipient without credit
        16: Fault.PERMANENT,  # over the recipient's quota
        39: Fault.SENDER,  # the sender's address is not allowed there
        50: Fault.CONTENT,  # a filter on entities
        51: Fault.CONTENT,  # a filter on headers
        52: Fault.CONTENT,  # a filter on content
        53: Fault.STOPPED,  # a filter on consent
        54: Fault.SENDER,  # a rule of the country
        99: Fault.SOFT,  # general error
    }
)
