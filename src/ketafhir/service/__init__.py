"""The service: what arrives over MLLP is judged, translated, stored and acknowledged.

receiver    one listener's handler: asyncio outside, one thread inside
together    messages that wait at the same time share a commit
intake      one message: duplicate? admitted? translated? stored? -> its acknowledgments
admission   what is taken here at all (MSH-3, -4, -9, -11, -12)
translating one message folded into what the store knows of its patients
histories   the records of patients, between store and fold
answers     acknowledgments as bytes
legs        whether senders know
"""
